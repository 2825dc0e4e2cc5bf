// Search from the disk: browsers start no workers there, so the search's script runs in a hidden frame instead.
// MkDocs Material looks for something of this name, and would load it from the web otherwise.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = "<body></body>";
      this.frame = new Promise((ready) => {
        frame.onload = async () => {
          const inside = frame.contentWindow;
          const load = (source) =>
            new Promise((loaded) => {
              const script = inside.document.createElement("script");
              script.src = source;
              script.onload = loaded;
              inside.document.body.append(script);
            });
          inside.importScripts = async (...sources) => {
            for (const source of sources) await load(source);
          };
          inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          await load(url);
          ready(inside);
        };
      });
      document.body.append(frame);
    }

    async postMessage(data) {
      (await this.frame).dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
