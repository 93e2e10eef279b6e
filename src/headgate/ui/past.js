// What this page has heard in the last minutes, for lines beside the numbers of this moment.

const REMEMBERED = 150;

// How much of a limit is taken of what may go at once, from 0 to 1.
export function used(limiter, burst) {
  const room = Math.max(1, (limiter.per_minute / 60) * burst.proven_s);
  return Math.min(1, Math.max(0, 1 - limiter.free_now / room));
}

export const limitOf = (pool, backend, name) => `${pool.pool}/${backend.backend}/${name}`;

// The past with one more moment in it.
export function remembered(past, news) {
  const moment = { waiting: news.waiting, lanes: {}, limits: {} };
  for (const pool of news.limits.pools) {
    for (const [name, lane] of Object.entries(pool.lanes)) moment.lanes[name] = (moment.lanes[name] ?? 0) + lane.waiting;
    for (const backend of pool.backends) {
      for (const [name, limiter] of Object.entries(backend.limiters)) moment.limits[limitOf(pool, backend, name)] = used(limiter, backend.burst);
    }
  }
  return [...past, moment].slice(-REMEMBERED);
}
