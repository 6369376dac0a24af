// The one clock of a viewer: the clip's <video> when there is one that plays, the computer's clock otherwise.
// Times are seconds of the result's own frame times; frame k of the video is frame k of the result.

export class Clock {
  /** @param onFlip called when playing starts or stops. */
  constructor(onFlip) {
    this.onFlip = onFlip;
    this.times = [0];
    this.time = 0;
    this.rate = 1;
    this.playing = false;
    this.video = null;
    this.lastTick = 0;
    this.shownTime = null; // media time of the video frame on screen, from requestVideoFrameCallback
    this.pendingSeek = null;
    this.listeners = [];
  }

  get duration() {
    return this.times[this.times.length - 1];
  }

  /** Index of the frame nearest to the current time. */
  get frame() {
    return nearest(this.times, this.time);
  }

  setTimes(times) {
    this.times = times.length ? times : [0];
    this.time = Math.min(this.time, this.duration);
  }

  /** Take a video as the master, or null for the computer's clock. */
  setVideo(video) {
    this.release();
    this.video = video;
    if (!video) return;
    video.loop = true;
    video.muted = true;
    video.playsInline = true;
    this.listen(video, 'play', () => this.flip(true));
    this.listen(video, 'pause', () => this.flip(false));
    this.listen(video, 'seeked', () => this.seekNext());
    this.listen(video, 'error', () => this.dropVideo());
    if (video.requestVideoFrameCallback) {
      const note = (_now, frame) => {
        this.shownTime = frame.mediaTime;
        this.frameRequest = video.requestVideoFrameCallback(note);
      };
      this.frameRequest = video.requestVideoFrameCallback(note);
    }
  }

  listen(target, name, action) {
    target.addEventListener(name, action);
    this.listeners.push(() => target.removeEventListener(name, action));
  }

  /** A clip that this browser cannot decode: go on without it. */
  dropVideo() {
    const wasPlaying = this.playing;
    this.release();
    this.flip(wasPlaying);
  }

  play() {
    this.lastTick = performance.now();
    if (!this.video) return this.flip(true);
    const { video } = this;
    video.playbackRate = this.rate;
    return video.play().catch(() => this.refused(video));
  }

  /** A video that cannot be decoded is left out; where only autoplay is refused, somebody has to press play. */
  refused(video) {
    if (!video.error) return this.flip(false);
    this.release();
    this.flip(true);
  }

  /** Stop; the video runs on until it hears of it, so both are then put on the frame that it has come to. */
  pause() {
    if (this.video) this.video.pause();
    this.flip(false);
  }

  flip(playing) {
    if (this.playing === playing) return;
    this.playing = playing;
    this.lastTick = performance.now();
    this.shownTime = null;
    if (!playing && this.video) this.seekFrame(within(this.times, this.video.currentTime));
    this.onFlip(playing);
  }

  setRate(rate) {
    this.rate = rate;
    if (this.video) this.video.playbackRate = rate;
  }

  /** Go to frame `index` exactly, in the model and in the video. */
  seekFrame(index) {
    const k = Math.min(Math.max(Math.round(index), 0), this.times.length - 1);
    this.time = this.times[k];
    const next = k + 1 < this.times.length ? this.times[k + 1] : this.times[k] + this.lastStep();
    if (this.video) this.requestSeek((this.times[k] + next) / 2); // the middle of a frame is safe from rounding
  }

  seekTime(seconds) {
    this.seekFrame(nearest(this.times, seconds));
  }

  lastStep() {
    const n = this.times.length;
    return n > 1 ? this.times[n - 1] - this.times[n - 2] : 1 / 30;
  }

  /** One seek under way at a time: scrubbing quickly asks for many. */
  requestSeek(seconds) {
    if (this.video.seeking) {
      this.pendingSeek = seconds;
      return;
    }
    const end = this.video.duration;
    this.video.currentTime = Number.isFinite(end) ? Math.min(seconds, end - 1e-3) : seconds;
  }

  seekNext() {
    this.shownTime = null;
    if (this.pendingSeek === null || !this.video) return;
    const seconds = this.pendingSeek;
    this.pendingSeek = null;
    this.requestSeek(seconds);
  }

  /** Advance; `exact` holds the model on the very frame that the video shows. Returns the current time. */
  tick(now, exact) {
    if (this.playing && this.video) {
      if (!this.video.seeking) this.time = Math.min(this.videoTime(exact), this.duration);
    } else if (this.playing) {
      const step = ((now - this.lastTick) / 1000) * this.rate;
      this.time = this.time + step > this.duration ? 0 : this.time + step;
    }
    this.lastTick = now;
    return this.time;
  }

  videoTime(exact) {
    if (!exact) return Math.max(0, this.video.currentTime - this.lastStep() / 2);
    const shown = this.shownTime ?? this.video.currentTime;
    return this.times[nearest(this.times, shown)];
  }

  release() {
    for (const stop of this.listeners) stop();
    this.listeners = [];
    if (this.video?.cancelVideoFrameCallback && this.frameRequest) {
      this.video.cancelVideoFrameCallback(this.frameRequest);
    }
    this.video = null;
    this.shownTime = null;
    this.pendingSeek = null;
  }
}

/** Index of the frame that a video shows at `x` s, in an ascending list of the frames' beginnings. */
export function within(values, x) {
  const k = nearest(values, x);
  return values[k] > x && k > 0 ? k - 1 : k;
}

/** Index of the value nearest to `x` in an ascending list. */
export function nearest(values, x) {
  let low = 0;
  let high = values.length - 1;
  while (high - low > 1) {
    const mid = (low + high) >> 1;
    if (values[mid] <= x) low = mid;
    else high = mid;
  }
  return x - values[low] <= values[high] - x ? low : high;
}
