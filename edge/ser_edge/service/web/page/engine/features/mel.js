// The mel filter bank, as librosa 0.11 and ser_edge.features.mel define it: Slaney's scale, triangles of unit area.

const HZ_PER_MEL = 200 / 3; // below the knee
const KNEE_HZ = 1000;
const KNEE_MEL = 15;
const LOG_STEP = Math.log(6.4) / 27; // above: 27 mels multiply the frequency by 6.4

/** For each band the first bin that it weighs, and its weights from there on. */
export function melFilters(config) {
  const edges = melEdges(config);
  const bins = config.n_fft / 2 + 1;
  return Array.from({ length: config.n_mels }, (_, band) => {
    const [low, peak, high] = edges.slice(band, band + 3);
    const weights = Array.from({ length: bins }, (_, bin) => {
      const hz = (bin * config.sample_rate) / config.n_fft;
      const height = Math.min((hz - low) / (peak - low), (high - hz) / (high - peak));
      return (Math.max(0, height) * 2) / (high - low);
    });
    const first = Math.max(
      0,
      weights.findIndex((weight) => weight > 0),
    );
    const last = weights.findLastIndex((weight) => weight > 0);
    return { first, weights: Float32Array.from(weights.slice(first, last + 1)) };
  });
}

/** Hz: band i rises from edge i to i + 1 and falls to i + 2. */
function melEdges(config) {
  const low = hzToMel(config.f_min);
  const high = hzToMel(config.f_max ?? config.sample_rate / 2);
  const steps = config.n_mels + 1;
  return Array.from({ length: steps + 1 }, (_, i) => melToHz(low + ((high - low) * i) / steps));
}

function hzToMel(hz) {
  return hz < KNEE_HZ ? hz / HZ_PER_MEL : KNEE_MEL + Math.log(hz / KNEE_HZ) / LOG_STEP;
}

function melToHz(mel) {
  return mel < KNEE_MEL ? mel * HZ_PER_MEL : KNEE_HZ * Math.exp(LOG_STEP * (mel - KNEE_MEL));
}
