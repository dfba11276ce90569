"""The systemd units that keep `ser-edge --mic` or `--serve` running: one for a user, one for the system.

A user's runs with the user's sound server and needs no root. The system's starts with the machine, as a user that
exists only for it and may open sound cards and the network, and little else. Options and passwords are in a file of
their own, so that the unit needn't be edited.
"""

import json
import re
import sys
from collections.abc import Sequence

_UNIT = """\
[Unit]
Description=ser-edge, speech emotion recognition
{after}
[Service]
Type=notify
# SER_EDGE_OPTIONS (further options, which ser-edge reads itself), SER_EDGE_TOKEN (of --serve), SER_EDGE_MQTT_USER,
# SER_EDGE_MQTT_PASSWORD
EnvironmentFile=-%E/ser-edge.env
ExecStart={command}
# Restarted after so long without audio (the microphone is gone or stuck), or without a sign of life of the server.
WatchdogSec=60
WatchdogSignal=SIGTERM
TimeoutStopSec=20
# SIGTERM while it starts; later it ends with 0.
SuccessExitStatus=143
Restart=on-failure
RestartSec=10
# A wrong command line or model: restarting doesn't help.
RestartPreventExitStatus=2 4
NoNewPrivileges=yes
{confinement}
[Install]
WantedBy={target}
"""

# No MemoryDenyWriteExecute: PortAudio calls back into code generated at run time.
_CONFINEMENT = """\
DynamicUser=yes
SupplementaryGroups=audio
DevicePolicy=closed
DeviceAllow=char-alsa rw
CapabilityBoundingSet=
LockPersonality=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077
"""

UNITS = {
    "user": {"after": "", "confinement": "", "target": "default.target"},
    "system": {
        "after": "Wants=network-online.target\nAfter=network-online.target sound.target\n",
        "confinement": _CONFINEMENT,
        "target": "multi-user.target",
    },
}


def unit(kind: str, options: Sequence[str] = ()) -> str:
    """The text of a unit that runs this installation.

    Args:
        kind: a key of `UNITS`.
        options: arguments of `ser-edge --mic`, or of `ser-edge` with `--serve` among them; they come after those in the
            environment, and so take precedence.
    """
    serves = any(word.startswith("--serve") for word in options)
    words = [_quoted(word).replace("$", "$$") for word in (*["--mic"] * (not serves), *options)]
    return _UNIT.format(command=" ".join([_quoted(sys.executable), "-P -m ser_edge", *words]), **UNITS[kind])


def _quoted(word: str) -> str:
    """Quotes a word for ExecStart: C's escapes in quotes, and `%` doubled."""
    word = word.replace("%", "%%")
    return word if re.fullmatch(r"[\w%@+:,./=-]+", word, re.ASCII) else json.dumps(word, ensure_ascii=False)
