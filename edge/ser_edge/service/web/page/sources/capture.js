// This browser's microphone, as mono samples at its own rate. Echo cancellation, noise suppression and gain control are
// off: they change the voice, and the models weren't trained on what they leave.

const REASONS = {
  NotAllowedError: "the browser wasn't allowed to use the microphone; allow it for this page, and start again",
  NotFoundError: "no microphone was found; plug one in, and start again",
  NotReadableError: "the microphone is in use by another program; close that, and start again",
};

export class Capture {
  /** Opens it; `onSamples` gets a Float32Array each twentieth of a second, `onEnd` is called when it is lost. */
  static async open(onSamples, onEnd) {
    if (!navigator.mediaDevices) {
      throw new Error("browsers give a microphone only to pages from https or from this machine (localhost)");
    }
    const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
    let media;
    try {
      media = await navigator.mediaDevices.getUserMedia({ audio: raw });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `the microphone can't be opened (${error.message})`);
    }
    const [track] = media.getAudioTracks();
    const capture = new Capture(media, new AudioContext(), track.label);
    try {
      const node = await capture.#node();
      node.port.onmessage = ({ data }) => onSamples(data);
    } catch (error) {
      await capture.close(); // or the browser goes on showing an open microphone
      throw error;
    }
    track.onended = onEnd;
    return capture;
  }

  constructor(media, context, name) {
    Object.assign(this, { media, context, name: name || "microphone", rate: context.sampleRate });
  }

  async #node() {
    await this.context.audioWorklet.addModule(new URL("./capture.worklet.js", import.meta.url));
    const node = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0 });
    this.context.createMediaStreamSource(this.media).connect(node);
    await this.context.resume();
    return node;
  }

  async close() {
    for (const track of this.media.getTracks()) track.stop();
    await this.context.close();
  }
}
