/* Lets the search work from a folder: browsers refuse web workers to pages that are opened as files.
   The script of the worker runs in a hidden frame instead. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow, page = frame.contentDocument, waiting = [];
      const deliver = (to, data) => to.dispatchEvent(new MessageEvent("message", { data }));
      this.deliver = (data) => waiting.push(data);
      inside.postMessage = (data) => setTimeout(() => deliver(this, data));
      inside.importScripts = (...scripts) => Promise.all(scripts.map(load));
      function load(source) {
        return new Promise((done, failed) => {
          const script = page.createElement("script");
          Object.assign(script, { src: source, onload: done, onerror: failed });
          page.body.append(script);
        });
      }
      load(new URL(address, location.href).href).then(() => {
        this.deliver = (data) => deliver(inside, data);
        waiting.forEach(this.deliver);
      });
    }
    postMessage(data) {
      this.deliver(data);
    }
    terminate() {}
  };
}
