// Passes the microphone's samples from the audio thread to the page, a twentieth of a second at a time.

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(Math.round(sampleRate / 20));
    this.count = 0;
  }

  process([input]) {
    const samples = input[0]; // undefined while the source is suspended
    for (let read = 0; samples && read < samples.length;) {
      const part = samples.subarray(read, read + this.block.length - this.count);
      this.block.set(part, this.count);
      read += part.length;
      this.count += part.length;
      if (this.count === this.block.length) {
        this.port.postMessage(this.block.slice());
        this.count = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
