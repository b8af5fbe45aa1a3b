/* This device's microphone: sound at any rate in, frames of 16-bit PCM at 16 kHz out.

   The work is done in an AudioWorklet (audio-processor.js), beside the page.  What can go wrong with a microphone is
   told by a key of strings/: `microphone.refused`, `.missing`, `.in_use`, `.insecure`, `.old`, `.failed`, `.muted`,
   `.quiet`, `.stopped`, `.gone`. */

const RATE = 16000;
const FRAME_BYTES = 4096; // 128 ms
const SILENT_AFTER = 5000; // ms
const SILENCE_PEAK = 10 ** (-70 / 20); // ten steps of a 16-bit sample: quieter than any open microphone
const LATE_MS = 1500; // sound that comes later than this has been missed, not delayed

const REFUSALS = {
  NotAllowedError: "microphone.refused",
  SecurityError: "microphone.refused",
  NotFoundError: "microphone.missing",
  OverconstrainedError: "microphone.missing",
  NotReadableError: "microphone.in_use",
  AbortError: "microphone.in_use",
};

/* Why this page can never have a microphone, as a key, or "". */
export function unavailable() {
  if (!window.isSecureContext) return "microphone.insecure";
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) return "microphone.old";
  return "";
}

export async function microphones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default");
}

export class MicrophoneProblem extends Error {}

export class Microphone {
  /* `on`: pcm(buffer), level({peak, rms} | null), missed(seconds), problem(key, again?), well(key).
     Of `problem`, `again()` is what a button may do about it. */
  constructor(deviceId, on) {
    this.deviceId = deviceId;
    this.on = on;
    this.paused = false;
    this.ended = false;
    this.changed = () => { if (this.gone && !this.ended) this.replace(); };
    this.seen = () => this.wake();
  }

  /* May wait for a person's answer.  Throws a MicrophoneProblem whose message is a key. */
  async open() {
    const never = unavailable();
    if (never) throw new MicrophoneProblem(never);
    await this.attach();
    navigator.mediaDevices.addEventListener("devicechange", this.changed);
    document.addEventListener("visibilitychange", this.seen);
    this.timer = setInterval(() => this.watch(), 1000);
  }

  /* Noise suppression before Whisper raises its word errors, an exam room has no loudspeaker to cancel, and gain
     control lifts the noise of every pause.  Browsers switch all three on when not told otherwise. */
  async attach() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          ...(this.deviceId && { deviceId: { exact: this.deviceId } }),
          channelCount: 1,
          echoCancellation: false,
          noiseSuppression: false,
          autoGainControl: false,
        },
      });
    } catch (error) {
      throw new MicrophoneProblem(REFUSALS[error.name] ?? "microphone.failed");
    }
    try {
      await this.join(stream);
    } catch {
      stream.getTracks().forEach((track) => track.stop());
      throw new MicrophoneProblem("microphone.failed");
    }
  }

  /* The browser's own resampler is the best, so a context of 16 kHz is asked for first; where that is refused, or a
     microphone cannot be joined to it (Firefox), the worklet resamples. */
  async join(stream) {
    let context;
    let source;
    try {
      context = new AudioContext({ sampleRate: RATE });
      source = context.createMediaStreamSource(stream);
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
      await context?.close();
      context = new AudioContext();
      source = context.createMediaStreamSource(stream);
    }
    await context.audioWorklet.addModule("audio-processor.js");
    const node = new AudioWorkletNode(context, "audio-processor", {
      processorOptions: { frameBytes: FRAME_BYTES, levels: true },
    });
    this.track = stream.getAudioTracks()[0];
    Object.assign(this, { context, node, gone: false });
    node.port.onmessage = ({ data }) => this.take(data);
    node.onprocessorerror = () => this.lose();
    this.track.onended = () => this.lose();
    this.track.onmute = () => this.watch();
    context.onstatechange = () => this.wake();
    source.connect(node).connect(context.destination); // which pulls it; the worklet gives out no sound
    this.expect();
    await this.wake();
  }

  get label() {
    return this.track?.label ?? "";
  }

  take(data) {
    if (data instanceof ArrayBuffer) {
      this.catchUp(data.byteLength / 2 / RATE);
      this.on.pcm(data);
    } else if (data.type === "level") {
      this.hear(data);
    } else {
      this.flushed?.();
    }
  }

  /* Where sound stopped and came again (a sleeping tablet, a call, another device), time went on. */
  catchUp(seconds) {
    const now = Date.now();
    const late = now - this.frameAt - 1000 * seconds;
    if (late > LATE_MS && !this.paused) this.on.missed(late / 1000);
    this.frameAt = now;
  }

  async pause() {
    this.paused = true;
    await this.flush("pause");
    this.track.enabled = false; // the browser's own sign of recording goes dark too
    ["microphone.muted", "microphone.quiet"].forEach(this.on.well);
    this.on.level(null);
  }

  async resume() {
    this.paused = false;
    this.begin();
    this.track.enabled = true;
    this.node.port.postMessage("resume");
    if (this.gone) await this.replace();
    else await this.wake();
  }

  async end() {
    this.ended = true;
    clearInterval(this.timer);
    navigator.mediaDevices.removeEventListener("devicechange", this.changed);
    document.removeEventListener("visibilitychange", this.seen);
    await this.flush("end");
    await this.detach();
    this.on.level(null);
  }

  async detach() {
    const { context, node, track } = this;
    track.onended = track.onmute = context.onstatechange = node.port.onmessage = null;
    track.stop();
    if (context.state !== "closed") await context.close();
  }

  /* Frames posted before "flushed" arrive before it.  The timer is for a worklet that is dead. */
  flush(order) {
    return new Promise((resolve) => {
      this.flushed = resolve;
      setTimeout(resolve, 1000);
      this.node.port.postMessage(order);
    });
  }

  /* The device is gone: what else there is takes its place, now or as soon as something is plugged in. */
  async lose() {
    if (this.gone || this.ended) return;
    this.gone = true;
    this.on.level(null);
    this.on.problem("microphone.gone");
    await this.detach();
    await this.replace();
  }

  async replace() {
    for (const deviceId of new Set([this.deviceId, ""])) {
      this.deviceId = deviceId;
      try {
        await this.attach();
      } catch (error) {
        if (!(error instanceof MicrophoneProblem)) throw error;
        continue;
      }
      if (this.ended) await this.detach();
      else if (this.paused) await this.pause();
      this.on.well("microphone.gone");
      return;
    }
  }

  /* Chromium says suspended, WebKit interrupted, when a call or the system takes the sound. */
  async wake() {
    if (this.gone || this.ended || this.paused) return;
    if (this.context.state === "running") {
      this.on.well("microphone.stopped");
      return;
    }
    const again = () => this.context.resume();
    try {
      await Promise.race([again(), new Promise((resolve) => { setTimeout(resolve, 300); })]);
    } catch {
      // it will not without a person's touch: told below
    }
    if (this.context.state !== "running" && !this.ended) this.on.problem("microphone.stopped", again);
  }

  /* From now on every second counts. */
  begin() {
    this.frameAt = Date.now();
    this.expect();
  }

  expect() {
    this.soundAt = performance.now();
    this.loudest = 0;
  }

  hear(level) {
    if (this.paused) return;
    this.loudest = Math.max(this.loudest, level.peak);
    if (level.peak > SILENCE_PEAK) {
      this.soundAt = performance.now();
      this.loudest = 0;
      ["microphone.muted", "microphone.quiet"].forEach(this.on.well);
    }
    this.on.level(level);
  }

  watch() {
    if (this.paused || this.gone || this.context.state !== "running") return;
    if (performance.now() - this.soundAt < SILENT_AFTER) return;
    const muted = this.loudest === 0 || this.track.muted;
    this.on.well(muted ? "microphone.quiet" : "microphone.muted");
    this.on.problem(muted ? "microphone.muted" : "microphone.quiet");
  }
}
