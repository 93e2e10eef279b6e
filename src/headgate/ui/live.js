// News of the gateway, while anybody looks: a page in the background holds no connection.

export class Live {
  #source = null;
  #heard;
  #changed;

  // `heard(news)` with each; `changed(connected)` when the connection comes or goes.
  constructor(heard, changed) {
    this.#heard = heard;
    this.#changed = changed;
    document.addEventListener("visibilitychange", () => this.#follow());
    this.#follow();
  }

  #follow() {
    if (document.visibilityState === "visible") this.#open();
    else this.#close();
  }

  #open() {
    if (this.#source !== null) return;
    this.#source = new EventSource("/api/live");
    this.#source.addEventListener("now", (event) => {
      this.#changed(true);
      this.#heard(JSON.parse(event.data));
    });
    this.#source.addEventListener("trouble", () => this.#changed(false));
    this.#source.addEventListener("error", () => {
      this.#changed(false);
      if (this.#source?.readyState === EventSource.CLOSED) {
        this.#close();
        setTimeout(() => this.#follow(), 5000);
      }
    });
  }

  #close() {
    this.#source?.close();
    this.#source = null;
  }
}
