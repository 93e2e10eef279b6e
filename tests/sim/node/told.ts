/**
 * A type of the SDK as the API tells it: what can be null may also be left out.  The API's own examples leave out
 * `citations` and `server_tool_use`, for instance, where there are none; the declarations ask for them.
 */
export type Told<T> = T extends (infer Item)[]
  ? Told<Item>[]
  : T extends object
    ? { [K in keyof T as null extends T[K] ? never : K]: Told<T[K]> } & {
        [K in keyof T as null extends T[K] ? K : never]?: Told<T[K]>;
      }
    : T;
