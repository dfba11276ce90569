// The microphone of the device that serves this page, as a source: one capture, which any number of pages show.

export class DeviceMicrophone {
  title = "The device’s microphone";

  /** `on` has the callbacks prediction, level, health and problem; a problem ends the source. */
  constructor(engine, on) {
    Object.assign(this, { engine, on });
  }

  async start() {
    this.stop = this.engine.events(
      (prediction) => this.on.prediction(prediction),
      (health) => {
        this.on.level(health.level);
        this.on.health(health);
      },
      (connectsAgain) => {
        if (connectsAgain) this.on.health({ device: "the server is unreachable, trying again", listening: false });
        else this.on.problem(new Error("the server doesn’t show its microphone; was it started with --mic?"));
      },
    );
  }
}
