"""The end of `ser-edge --help`: examples, and what the options don't say."""

from ser_edge.models.bundled.names import FILES

_MODELS = "\n".join(f"  {alias:<10} {', '.join(files)}" for alias, files in FILES.items())
EPILOG = f"""\
examples:
  ser-edge hello.wav                         one prediction for one file
  ser-edge recordings/                       every audio file below a folder, on all cores
  ser-edge -f json recordings/ > predictions.jsonl
  ser-edge --output-dir out -f json,srt recordings/
                                             two files for each, out/a.json and out/a.srt; goes on after Ctrl-C
  ser-edge --cluster tcp://host:8786 recordings/   the same, on the machines of a Dask cluster
  ser-edge --timeline interview.mp3          a prediction every half second
  ser-edge --merge interview.mp3             one for each stretch of the same label
  ser-edge -o a.labels.txt interview.mp3     a label track for Audacity
  ser-edge --format srt film.wav > film.srt  subtitles for a video player
  ser-edge --mic                             a live view of the microphone; Ctrl-C ends it
  ser-edge --mic --device usb --format json  a microphone with usb in its name, a line for each window
  ser-edge --list-devices                    the available microphones
  ffmpeg -i film.mkv -f wav - | ser-edge -   standard input, as it arrives
  arecord -f S16_LE -r 16000 | ser-edge -
  nc -l 9000 | ser-edge - --rate 16000       samples without a header (see --sample-format, --channels)
  ser-edge --mic --mqtt mqtt://host          published to an MQTT broker, and to Home Assistant
  ser-edge --serve                           by HTTP, at 127.0.0.1:8765 (docs/server.md)
  ser-edge --serve --mic                     the microphone as well, for any number of viewers
  ser-edge --unit user                       the systemd unit of a service that keeps --mic running
  ser-edge --labels happy,sad,angry,neutral --map calm=neutral hello.wav
                                             which of these four; calm counts as neutral
  ser-edge --model small hello.wav           the smaller and faster of the bundled models
  ser-edge --model mine.onnx hello.wav       a model exported by ser-export
  ser-edge --model mine.onnx --describe      its labels, front-end, accuracy and provenance
  ser-edge --doctor                          checks this installation, and says how to fix what fails

A file is taken to be one utterance, and gets one prediction. Streams (--mic, -), --timeline, --merge, subtitles and
label tracks get one for each window of --window seconds, every --hop seconds. The prediction for a file of more than a
minute is the mean of its windows with speech. Audio without speech is `no-speech`: silence, noise, tones and most music
(--speech, --no-gate).
A DC offset is removed. Channels are mixed, or the strongest is taken where they cancel out (--channel takes one).

--labels asks which of these an utterance is, given that it is one of them: their probabilities are divided by their
sum. So somebody who is afraid gets one of them too, and can get it with a high confidence; leave out what can't occur
where you use it, and map what you don't distinguish. --map comes first: labels are chosen under their new names.

Predictions go to standard output; messages, the model's measured accuracy and progress go to standard error.

SER_EDGE_OPTIONS in the environment holds options that come before those of the command line, which so take precedence:
export SER_EDGE_OPTIONS='--model small --device "USB Mic"'. It holds no files, and doesn't apply to --unit.

eval "$(ser-edge --print-completion bash)" has the shell complete options, files, and labels (of --model); zsh as well,
and others as docs/formats.md shows. It needs ser-edge[completion].

models:
{_MODELS}

exit codes:
  0  everything was classified       3  no usable microphone
  1  some files could not be         4  the model, or the runtime it needs, can't be used
     classified; the others were
  2  wrong command line            130  stopped by Ctrl-C; 143 by SIGTERM

About accuracy: a confidence is the model's own estimate. How often the model is right on speakers that it was not
trained on is printed after the predictions in text format, and by --describe; it is far from always. The bundled models
were trained on acted emotions of 24 North American and nine Polish speakers.
"""
