"use strict";

/* Sound to frames of PCM: an AudioWorklet processor named "audio-processor".

   It posts nothing but ArrayBuffers (signed 16-bit little-endian, 16 kHz, mono), so that the shortest client,
   `port.onmessage = (event) => socket.send(event.data)`, works.  Whoever asks for more gets it:
     processorOptions { frameBytes, levels }  size of a frame; {type: "level", peak, rms} every 50 ms
     "pause", "resume", "end"                 pause and end first post what is waiting, then {type: "flushed"}

   Everything stands inside one function for the sake of file://.  There Chromium refuses a worklet from a file
   and from a Blob alike, since a file has no origin to share, but takes a data: address; so the page makes one
   from this function's own text, which the language promises to be exact (ECMA-262, Function.prototype.toString).
   A second copy of the source inside the page would drift; a data: address everywhere would forbid a server's
   content policy of `script-src 'self'`. */

function audioProcessor() {
  const RATE = 16000;
  const FRAME_BYTES = 8192; // WEBSOCKET_AUDIO_BUFFER_SIZE: 256 ms
  const LEVEL_SAMPLES = RATE / 20;

  const STOPBAND_DB = 70; // below the noise of any room microphone
  const PASSBAND = 0.9; // of the lower Nyquist frequency: 7.2 kHz, with the stop band from 8 kHz

  /* Both ends of the 16-bit range are full scale.  So does Chromium decode 16-bit files, whose samples thus come
     back exactly; where a browser divides by 32768, loud ones may differ by one, 96 dB down.  Clamped, since
     Int16Array wraps. */
  function pcm16(sample) {
    const clamped = Math.max(-1, Math.min(1, sample));
    return Math.round(clamped * (clamped < 0 ? 32768 : 32767));
  }

  /* Modified Bessel function of order 0, by its power series. */
  function bessel0(x) {
    let sum = 1;
    for (let k = 1, term = 1; term > sum * 1e-12; k += 1) {
      term *= (x / (2 * k)) ** 2;
      sum += term;
    }
    return sum;
  }

  /* From any rate to any other: a polyphase windowed sinc.

     Linear interpolation was refused: it lets a 10 kHz hiss at 48 kHz fold to 6 kHz, among the consonants,
     hardly weakened.  The sinc costs five million multiplications a second, nothing for a phone.
     Kaiser's formulas give the length and the window from the wanted attenuation and transition.
     Source: J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh window function", 1974.

     Output n lies exactly at input n * from / to (the filter is centred: no delay), and after `flush` there
     are ceil(received * to / from) of them: the end of the last word included. */
  class Resampler {
    constructor(from, to) {
      const gcd = (a, b) => (b ? gcd(b, a % b) : a);
      const divisor = gcd(Math.round(from), to);
      this.up = to / divisor;
      this.down = Math.round(from) / divisor;
      this.phases = []; // filters by phase, made when first needed
      const nyquist = 0.5 * Math.min(1, to / from); // cycles per input sample
      this.cutoff = nyquist * (1 + PASSBAND) / 2;
      const transition = nyquist * (1 - PASSBAND);
      this.half = Math.ceil((STOPBAND_DB - 7.95) / (14.36 * transition) / 2);
      this.beta = 0.1102 * (STOPBAND_DB - 8.7);
      this.reset();
    }

    reset() {
      this.waiting = new Float32Array(4 * this.half + 256);
      this.length = this.half - 1; // zeros before the first sample
      this.centre = this.half - 1;
      this.phase = 0;
      this.received = 0;
      this.emitted = 0;
    }

    filter(phase) {
      const taps = new Float64Array(2 * this.half);
      let sum = 0;
      for (let k = 0; k < taps.length; k += 1) {
        const t = k - this.half + 1 - phase / this.up;
        const x = 2 * Math.PI * this.cutoff * t;
        const edge = Math.max(0, 1 - (t / this.half) ** 2);
        taps[k] = (x === 0 ? 1 : Math.sin(x) / x) * bessel0(this.beta * Math.sqrt(edge));
        sum += taps[k];
      }
      return taps.map((tap) => tap / sum); // every phase passes level 1 as 1, else the phases would hum
    }

    /* `put(sample)` is called for each output that the input so far decides. */
    push(input, put) {
      this.received += input.length;
      this.advance(input, put, Infinity);
    }

    flush(put) {
      const owed = Math.ceil((this.received * this.up) / this.down);
      this.advance(new Float32Array(this.half), put, owed);
      this.reset();
    }

    advance(input, put, owed) {
      if (this.length + input.length > this.waiting.length) {
        const roomier = new Float32Array(2 * (this.length + input.length));
        roomier.set(this.waiting.subarray(0, this.length));
        this.waiting = roomier;
      }
      this.waiting.set(input, this.length);
      this.length += input.length;
      while (this.centre + this.half < this.length && this.emitted < owed) {
        const taps = (this.phases[this.phase] ??= this.filter(this.phase));
        const first = this.centre - this.half + 1;
        let sum = 0;
        for (let k = 0; k < taps.length; k += 1) sum += taps[k] * this.waiting[first + k];
        put(sum);
        this.emitted += 1;
        const next = this.phase + this.down;
        this.centre += Math.floor(next / this.up);
        this.phase = next % this.up;
      }
      const used = Math.min(this.centre - this.half + 1, this.length);
      this.waiting.copyWithin(0, used, this.length);
      this.length -= used;
      this.centre -= used;
    }
  }

  /* Cuts samples into frames of `frameBytes`; `send(buffer)` owns each buffer.  Int16Array has the machine's
     byte order, which is little-endian wherever a browser runs. */
  class Framer {
    constructor(frameBytes, send) {
      this.size = frameBytes >> 1;
      this.send = send;
      this.frame = new Int16Array(this.size);
      this.filled = 0;
    }

    put(sample) {
      this.frame[this.filled] = pcm16(sample);
      this.filled += 1;
      if (this.filled === this.size) this.flush();
    }

    flush() {
      if (this.filled === 0) return;
      const full = this.filled === this.size;
      this.send(full ? this.frame.buffer : this.frame.slice(0, this.filled).buffer);
      this.frame = new Int16Array(this.size);
      this.filled = 0;
    }
  }

  if (typeof registerProcessor === "function") {
    class AudioProcessor extends AudioWorkletProcessor {
      constructor(options) {
        super();
        const { frameBytes = FRAME_BYTES, levels = false } = options?.processorOptions ?? {};
        this.levels = levels;
        this.framer = new Framer(frameBytes, (buffer) => this.port.postMessage(buffer, [buffer]));
        this.resampler = sampleRate === RATE ? null : new Resampler(sampleRate, RATE);
        this.put = (sample) => {
          this.framer.put(sample);
          if (this.levels) this.measure(sample);
        };
        this.state = "running";
        this.peak = this.energy = this.measured = 0;
        this.port.onmessage = (event) => this.obey(event.data);
      }

      obey(order) {
        if (order === "resume") this.state = "running";
        if (order !== "pause" && order !== "end") return;
        this.state = order;
        this.resampler?.flush(this.put);
        this.framer.flush();
        this.port.postMessage({ type: "flushed" });
      }

      process([channels]) {
        if (this.state === "end") return false;
        if (this.state === "pause" || !channels?.length) return true;
        let mono = channels[0];
        if (channels.length > 1) {
          mono = mono.map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
        }
        if (this.resampler) this.resampler.push(mono, this.put);
        else mono.forEach(this.put);
        return true;
      }

      measure(sample) {
        this.peak = Math.max(this.peak, Math.abs(sample));
        this.energy += sample * sample;
        this.measured += 1;
        if (this.measured < LEVEL_SAMPLES) return;
        const rms = Math.sqrt(this.energy / this.measured);
        this.port.postMessage({ type: "level", peak: this.peak, rms });
        this.peak = this.energy = this.measured = 0;
      }
    }
    registerProcessor("audio-processor", AudioProcessor);
  }

  return { Resampler, Framer };
}

// In the worklet this starts the processor; in the page, where the file is also a script, it waits to be called.
if (typeof registerProcessor === "function") audioProcessor();
