"use strict";

/* Where sound comes from: a microphone or a file.  Both have the same four verbs,
     start(frameBytes, on)   pause()   resume()   end()
   and call `on.pcm(buffer)`, `on.level({peak, rms})` (null: off), `on.problem(key, text, action?)`, `on.well(key)` and
   `on.finished(why)` when they end by themselves.  After `await end()` no further pcm comes. */

const RATE = 16000;
const SILENCE_SECONDS = 5;
const SILENCE_PEAK = 10 ** (-70 / 20); // ten steps of a 16-bit sample: quieter than any open microphone

const { Framer } = audioProcessor();

const MICROPHONE_PROBLEMS = {
  NotAllowedError:
    "The microphone was refused. Click the icon beside the page's address, set the microphone to “Allow” and " +
    "press Start again. If it is allowed there, look in the privacy settings of this computer or phone.",
  NotFoundError: "No microphone was found. Plug one in and press Start again, or choose an audio file.",
  NotReadableError:
    "The microphone cannot be opened; usually another program is using it. Close that program (a call, a " +
    "recorder, the ambientd service itself) and press Start again.",
  OverconstrainedError: "The chosen microphone is gone. Plug it in again or choose another one in the list.",
};
MICROPHONE_PROBLEMS.SecurityError = MICROPHONE_PROBLEMS.NotAllowedError;

/* Why this page can never have a microphone, or "". */
function microphoneUnavailable() {
  if (!window.isSecureContext) {
    return "Browsers give the microphone only to pages opened by https:// or from localhost. Open this page " +
      "by https, or on the box itself, or choose an audio file.";
  }
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) {
    return "This browser has no microphone access for pages. Use a current Firefox, Chrome, Edge or Safari, " +
      "or choose an audio file.";
  }
  return "";
}

async function listMicrophones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId !== "");
}

class Microphone {
  /* Asks the browser for the device; may wait for a person's answer.  Throws an Error whose message says what
     to do.  `processing {echo, noise, gain}` are all off unless asked for: noise suppression in front of Whisper
     raises its word errors, an exam room has no loudspeaker to cancel, and gain control lifts the noise in
     every pause.  Browsers switch all three on when not told otherwise. */
  static async open(deviceId, processing) {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          ...(deviceId && { deviceId: { exact: deviceId } }),
          channelCount: 1,
          echoCancellation: processing.echo,
          noiseSuppression: processing.noise,
          autoGainControl: processing.gain,
        },
      });
    } catch (error) {
      throw new Error(MICROPHONE_PROBLEMS[error.name] ?? `The microphone failed (${error.name}). Choose another one.`);
    }
    try {
      return new Microphone(stream, ...(await Microphone.graph(stream)));
    } catch (error) {
      stream.getTracks().forEach((track) => track.stop());
      throw error;
    }
  }

  /* The best resampler is the browser's own, so first ask for 16 kHz.  Some browsers refuse the rate, some
     (Firefox) refuse to join a microphone to a context of another rate than its own: then take theirs, and the
     worklet resamples. */
  static async graph(stream) {
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
    await Microphone.loadWorklet(context);
    return [context, source];
  }

  static async loadWorklet(context) {
    const fromDisk = location.protocol === "file:";
    const source = `data:text/javascript,${encodeURIComponent(`(${audioProcessor})();`)}`;
    try {
      await context.audioWorklet.addModule(fromDisk ? source : "audio-processor.js");
    } catch {
      throw new Error(fromDisk
        ? "This browser lets no page from disk record. Open http://localhost:8000 instead, or choose an audio file."
        : "audio-processor.js could not be loaded. Does the server serve the whole folder web/?");
    }
  }

  constructor(stream, context, source) {
    this.stream = stream;
    this.track = stream.getAudioTracks()[0];
    this.context = context;
    this.source = source;
    this.paused = false;
  }

  get label() {
    const resampled = this.context.sampleRate === RATE ? "" : `, resampled from ${this.context.sampleRate} Hz`;
    return `${this.track.label || "microphone"}${resampled}`;
  }

  async start(frameBytes, on) {
    this.on = on;
    this.node = new AudioWorkletNode(this.context, "audio-processor", {
      processorOptions: { frameBytes, levels: true },
    });
    this.node.port.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) on.pcm(data);
      else if (data.type === "level") this.#hear(data);
      else this.flushed?.();
    };
    this.node.onprocessorerror = () => on.finished("The page's audio code failed. Reload the page.");
    this.track.onended = () => on.finished("The microphone was unplugged or taken away.");
    this.context.onstatechange = () => this.#watchContext();
    // The destination pulls the worklet; the worklet writes no output, so nothing is heard.
    this.source.connect(this.node).connect(this.context.destination);
    this.#expectSound();
    this.silenceTimer = setInterval(() => this.#watchSilence(), 1000);
    await this.context.resume();
    this.#watchContext();
  }

  async pause() {
    this.paused = true;
    await this.#flush("pause");
    this.track.enabled = false; // the browser's recording sign goes dark too
    this.on.well("silence");
    this.on.level(null);
  }

  async resume() {
    this.paused = false;
    this.track.enabled = true;
    this.#expectSound();
    this.node.port.postMessage("resume");
    await this.context.resume();
  }

  async end() {
    clearInterval(this.silenceTimer);
    this.context.onstatechange = null;
    this.track.onended = null;
    if (this.node) await this.#flush("end");
    if (this.node) this.node.port.onmessage = null;
    this.track.stop();
    if (this.context.state !== "closed") await this.context.close();
  }

  /* Frames posted before "flushed" arrive before it: ports keep the order.  The timer is for a dead worklet. */
  #flush(order) {
    return new Promise((resolve) => {
      this.flushed = resolve;
      setTimeout(resolve, 1000);
      this.node.port.postMessage(order);
    });
  }

  #expectSound() {
    this.soundAt = performance.now();
    this.loudest = 0;
    this.heard = false;
  }

  #hear(level) {
    if (this.paused) return;
    this.heard = true;
    this.loudest = Math.max(this.loudest, level.peak);
    if (level.peak > SILENCE_PEAK) {
      this.#expectSound();
      this.on.well("silence");
    }
    this.on.level(level);
  }

  #watchSilence() {
    if (this.paused || this.context.state !== "running") return;
    if (performance.now() - this.soundAt < SILENCE_SECONDS * 1000) return;
    let what = "The microphone is almost silent. Move it closer or raise its level in the system's settings.";
    if (!this.heard) {
      what = "The microphone sends nothing. Unplug it, plug it in again, or choose another.";
    } else if (this.loudest === 0 || this.track.muted) {
      what = "The microphone is muted: it sends only silence. Look for a switch on the microphone or headset, " +
        "the mute key, and the system's sound and privacy settings; or choose another microphone.";
    }
    this.on.problem("silence", what);
  }

  #watchContext() {
    if (this.context.state === "running") {
      this.#expectSound();
      this.on.well("suspended");
    } else if (this.context.state !== "closed") {
      this.on.problem("suspended", "The browser has stopped the sound (a call, another tab, power saving).", {
        label: "Continue",
        act: () => this.context.resume(),
      });
    }
  }
}

class AudioFile {
  /* Decodes the whole file; the context's rate is the rate of what comes out.  Throws an Error whose message says what to do. */
  static async open(file) {
    let decoded;
    try {
      decoded = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
    } catch {
      throw new Error("This browser cannot decode that file. WAV, FLAC and MP3 work everywhere.");
    }
    const mono = new Float32Array(decoded.length);
    for (let c = 0; c < decoded.numberOfChannels; c += 1) {
      decoded.getChannelData(c).forEach((sample, i) => { mono[i] += sample / decoded.numberOfChannels; });
    }
    return new AudioFile(mono);
  }

  constructor(samples) {
    this.samples = samples;
    this.position = 0; // samples sent
    this.pausedAt = null;
    this.stopped = false;
  }

  get label() {
    return `file, ${(this.samples.length / RATE).toFixed(1)} s`;
  }

  /* `on.backlog()`: bytes not yet taken by the network.  `fast`: send as long as that is small, else in the
     speech's own time, each frame when its last sample would have been spoken. */
  async start(frameBytes, on, fast) {
    this.on = on;
    this.fast = fast;
    this.framer = new Framer(frameBytes, on.pcm);
    this.startedAt = performance.now();
    this.playing = this.#play(frameBytes >> 1);
  }

  async #play(frame) {
    while (this.position < this.samples.length) {
      const end = Math.min(this.position + frame, this.samples.length);
      while (!this.stopped && !this.#due(end)) await sleep(this.fast ? 10 : 25);
      if (this.stopped) return;
      this.#send(end);
      if (this.fast) await sleep(0); // let the page breathe
    }
    this.framer.flush();
    this.on.finished("");
  }

  #due(end) {
    if (this.pausedAt !== null) return false;
    return this.fast ? this.on.backlog() < 262144 : this.#spoken() >= end;
  }

  #spoken() {
    return Math.floor(((this.pausedAt ?? performance.now()) - this.startedAt) * (RATE / 1000));
  }

  #send(end) {
    const piece = this.samples.subarray(this.position, end);
    let peak = 0;
    let energy = 0;
    for (const sample of piece) {
      this.framer.put(sample);
      peak = Math.max(peak, Math.abs(sample));
      energy += sample * sample;
    }
    this.position = end;
    this.on.level({ peak, rms: Math.sqrt(energy / Math.max(1, piece.length)) });
  }

  async pause() {
    this.pausedAt = performance.now();
    this.on.level(null);
  }

  async resume() {
    this.startedAt += performance.now() - this.pausedAt;
    this.pausedAt = null;
  }

  async end() {
    this.stopped = true;
    await this.playing;
    if (!this.on) return;
    const spoken = Math.min(this.#spoken(), this.samples.length);
    if (!this.fast && spoken > this.position) this.#send(spoken);
    this.framer.flush();
  }
}

function sleep(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}
