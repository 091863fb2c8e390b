/** Typed events: a listener is given the detail, and what removes it is given back. */

/** @template {Record<string, any>} Events */
export class Emitter extends EventTarget {
  /**
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {(detail: Events[Type]) => void} listener
   * @returns {() => void} removes the listener
   */
  on(type, listener) {
    const handler = (/** @type {Event} */ event) =>
      listener(/** @type {CustomEvent<Events[Type]>} */ (event).detail);
    this.addEventListener(type, handler);
    return () => this.removeEventListener(type, handler);
  }

  /**
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {Events[Type]} detail
   * @protected
   */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
