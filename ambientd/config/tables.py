"""What can be set: one frozen model per table of the TOML file.

A field is the whole truth about its setting: type, default, range, unit (:class:`Unit`) and, in the docstring
under it, one sentence.  ``config/ambientd.toml``, ``docs/settings.md`` and ``--check-config`` are printed
from here.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, PrivateAttr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ambientd.config.access import Access
from ambientd.config.kinds import Bytes, Count, Directory, Level, Name, Packaged, Seconds, Table, Unit
from ambientd.config.lan import Lan
from ambientd.config.later import Later
from ambientd.config.microphone import Microphone
from ambientd.config.naming import Vocabulary
from ambientd.config.recording import Recording
from ambientd.config.syncing import Sync
from ambientd.core.languages import LANGUAGES


def _address(host: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", host):
        raise ValueError('must be an address or a host name, such as "127.0.0.1"')
    return host


def _language(code: str) -> str:
    # Whisper takes an unknown code for "detect": twice the work, and text in whatever language it guessed.
    if code != "auto" and code not in LANGUAGES:
        raise ValueError('must be a code Whisper knows, such as "en", "de" or "es", or "auto"')
    return code


def _prompt(text: str) -> str:
    # The binding passes a C string: what follows a NUL would be lost without a word.
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _cron(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}", text):
        raise ValueError('must be the five fields of cron, such as "30 2 * * *"')
    return text


class Server(Table):
    """The HTTP and WebSocket door."""

    host: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    """Address to listen on; any but a loopback address lets the network reach conversations unencrypted."""
    port: Count = Field(default=8000, ge=0, le=65_535)
    """TCP port; 0 lets the system choose a free one."""
    max_connections: Count = Field(default=100, ge=1, le=10_000)
    """Live sessions at once; the next one is refused with close code 1013."""
    heartbeat_interval: Seconds = Field(default=30.0, ge=0.1, le=3_600)
    """Time between WebSocket pings; a client that does not answer is taken for gone."""
    max_session_duration: Seconds = Field(default=7_200.0, ge=0.1, le=86_400)
    """Longest session; it is then ended in the regular way, nothing is lost."""
    max_pause: Seconds = Field(default=3_600.0, ge=1, le=86_400)
    """Longest pause of a session; it is then ended in the regular way."""
    resume_grace: Seconds = Field(default=60.0, ge=0, le=3_600)
    """Time a session whose client vanished waits for it to come back; then it is finished and stored."""
    idle_timeout: Seconds = Field(default=300.0, ge=0.1, le=86_400)
    """Time without audio and without a message after which a session is ended."""
    audio_buffer_size: Bytes = Field(default=8_192, ge=320, le=1_048_576)
    """Size of the audio frames that clients are told to send; other sizes are taken too."""
    max_frame_bytes: Bytes = Field(default=262_144, ge=1_024, le=16_777_216)
    """Largest WebSocket frame; a larger one closes the connection (1009): none can fill the memory."""
    shutdown_timeout: Seconds = Field(default=20.0, ge=0.1, le=600)
    """Time that running sessions have to finish when the service stops."""
    control_socket: Annotated[Directory, Packaged("/run/ambientd/control.sock")] = Path(
        "/run/ambientd/control.sock"
    )
    """Unix socket for ambientctl, for the daemon's user and group; by default control.sock in systemd's
    $RUNTIME_DIRECTORY, else beside the database."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class Audio(Table):
    """What clients send; inside the box everything is 16 kHz mono."""

    sample_rate: Annotated[int, Unit("Hz")] = Field(default=16_000, ge=8_000, le=48_000)
    """Samples per second and channel on the wire; other rates than 16000 are resampled."""
    channels: Count = Field(default=1, ge=1, le=2)
    """Channels on the wire, interleaved; two are mixed to one."""
    inbox_seconds: Seconds = Field(default=30.0, ge=1, le=600)
    """Audio that may wait for the engine in one session before the client is slowed down."""


class Admission(Table):
    """When new sessions are refused, with close code 1013, so that the running ones do not become late."""

    max_utilisation: Annotated[float, Unit("share")] = Field(default=0.95, ge=0.1, le=10)
    """Share of the engine's time that text may take, the new session counted in; above 1 never refuses."""
    max_lag: Seconds = Field(default=10.0, ge=0.5, le=600)
    """Lateness of the last minute's text, 95th percentile, from which on nobody is let in."""
    retry_after: Seconds = Field(default=60.0, ge=1, le=3_600)
    """Time after which a refused client is told to try again."""


class Segmentation(Table):
    """Where the conversation is cut into pieces for the engine."""

    chunk_duration: Seconds = Field(default=8.0, ge=0.2, le=24)
    """Least audio committed at once when a pause comes: shorter shows text earlier, longer hears better."""
    max_duration: Seconds = Field(default=16.0, ge=4, le=28)
    """Longest piece; speech without a pause is cut there at its quietest point."""
    overlap_duration: Seconds = Field(default=0.5, ge=0, le=2)
    """Audio kept from before the detected start of speech, so that no first syllable is cut off."""
    pause: Seconds = Field(default=0.5, ge=0.3, le=5)
    """Silence that ends a piece which has reached chunk_duration."""
    patience: Seconds = Field(default=5.0, ge=0.3, le=30)
    """Silence that ends any piece, however short: a reader does not wait for words that may never come."""
    speech_threshold: Annotated[float, Unit("probability")] = Field(default=0.5, ge=0.2, le=0.95)
    """Certainty from which the voice detector's judgement counts as speech; higher hears fewer noises."""


class Engine(Table):
    """Speech to text."""

    model: Name = "base"
    """Whisper model by its name in the model directory; "ambientctl model list" shows them."""
    quantisation: Literal["q8_0", "q5_1", "q4_0", "bf16", "f16"] = "q8_0"
    """How the weights are packed: q8_0 is exact enough and fast everywhere, bf16 faster on processors with AVX512-BF16
    and twice the size, q4_0 smaller and worse, f16 exact."""
    lanes: Count = Field(default=0, ge=0, le=64)
    """Decodes that may run at the same time; 0 takes what "ambientctl tune" found best, else what the cores allow."""
    threads: Count = Field(default=0, ge=0, le=64)
    """Processor cores one decode uses: more lanes serve more rooms, more threads one room sooner; 0 as for lanes."""
    language: Annotated[str, AfterValidator(_language)] = "en"
    """Language spoken, as Whisper's code ("en", "de", "haw"), or "auto" to detect it."""
    chunk_timeout: Seconds = Field(default=10.0, ge=0.1, le=600)
    """Longest time one decode may take; its audio is then marked as a gap."""
    prompt: Annotated[str, AfterValidator(_prompt)] = Field(default="default", max_length=800)
    """A sentence in the style of the talk with the clinic's own terms in it; the engine takes it as said."""
    vad_model: Name = "silero-vad"
    """Voice detector by its name in the model directory."""

    def layout(self, cores: int, tuned: tuple[int, int] | None = None) -> tuple[int, int]:
        """Lanes and threads on a machine with so many cores, at least one of each; what is set wins.

        ``tuned``: what was measured to be best; taken only as a whole.
        """
        if tuned and not self.lanes and not self.threads:
            return tuned
        threads = self.threads or 1
        return self.lanes or max(1, cores // threads), threads


class Refinement(Table):
    """The second, slower hearing of each conversation, on lanes that would be idle."""

    enabled: bool = True
    """Whether sessions are heard a second time; the refined text is then the one exported and sent."""
    memory: Bytes = Field(default=268_435_456, ge=1_048_576, le=68_719_476_736)
    """Audio kept for it in memory, over all sessions; beyond it the oldest gives way and keeps its live words."""
    wait: Seconds = Field(default=900.0, ge=1, le=86_400)
    """Time after its end that a session waits to be refined; then its live text is final."""


class Uploads(Table):
    """Recordings sent as files to be transcribed."""

    max_bytes: Bytes = Field(default=104_857_600, ge=1_024, le=4_294_967_296)
    """Largest file taken."""
    max_duration: Seconds = Field(default=14_400.0, ge=1, le=86_400)
    """Longest recording taken."""
    queue: Count = Field(default=4, ge=1, le=100)
    """Files that may wait or be at work at once; the next is refused with 503. Each is held in memory until heard."""


class Models(Table):
    """Where weights are kept."""

    directory: Annotated[Directory, Packaged("/var/lib/ambientd/models")]
    """Folder of the model files; by default "models" under the store's directory."""
    packaged: Annotated[Directory, Packaged("/usr/share/ambientd/models")] = Path(
        "/usr/share/ambientd/models"
    )
    """Folder of models that came as system packages; taken where directory has none of that name, never written to."""

    @property
    def directories(self) -> tuple[Path, Path]:
        """Where models are looked for; the first that has one wins."""
        return self.directory, self.packaged


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not hold control characters")
    return text


def _box_id(text: str) -> str:
    # It becomes part of an address at the centre.
    if text and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ValueError("must be empty, or 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit")
    return text


class Box(Table):
    """The appliance itself, as the centre knows it."""

    id: Annotated[str, AfterValidator(_box_id)] = ""
    """Name of this box, noted with each session; empty takes an id made up at the first start and kept."""
    room: Annotated[str, AfterValidator(_printable)] = Field(default="", max_length=64)
    """Room the box stands in, as the clinic calls it; noted with each session."""


class Store(Table):
    """Where conversations are kept."""

    directory: Annotated[Directory, Packaged("/var/lib/ambientd")]
    """Folder of the database; by default systemd's $STATE_DIRECTORY, for root /var/lib/ambientd if it exists,
    else ambientd under $XDG_STATE_HOME or ~/.local/state."""
    low_water: Bytes = Field(default=268_435_456, ge=0, le=2**40)
    """Free space on its disk below which no new session is begun; those that run are finished."""


class Retention(Table):
    """How long things are kept; what goes is destroyed with its key."""

    days: Annotated[float, Unit("days")] = Field(default=30.0, ge=0, le=36_500)
    """Time a transcript stays after it was delivered; one that is not delivered stays."""
    undelivered: bool = False
    """Where there is no centre to deliver to: whether transcripts go that many days after their end."""
    audit_days: Annotated[float, Unit("days")] = Field(default=90.0, ge=1, le=36_500)
    """Time a row of the audit stays."""
    schedule: Annotated[str, AfterValidator(_cron)] = "30 2 * * *"
    """When the daily purge runs: the five fields of cron, in UTC; it runs at each start as well."""


class Log(Table):
    """What is written about the service's doings, never about a conversation's words."""

    level: Level = "INFO"
    """Least severity that is written: DEBUG, INFO, WARNING, ERROR or CRITICAL."""
    format: Literal["auto", "text", "json"] = "auto"
    """Form of a line: text, json, or auto for text that leaves the time to the journal where there is one."""


SEED_NAMES: Final = {
    "WEBSOCKET_MAX_CONNECTIONS": ("server", "max_connections"),
    "WEBSOCKET_HEARTBEAT_INTERVAL": ("server", "heartbeat_interval"),
    "WEBSOCKET_MAX_SESSION_DURATION": ("server", "max_session_duration"),
    "WEBSOCKET_AUDIO_BUFFER_SIZE": ("server", "audio_buffer_size"),
    "WEBSOCKET_SAMPLE_RATE": ("audio", "sample_rate"),
    "WEBSOCKET_CHANNELS": ("audio", "channels"),
    "WEBSOCKET_CHUNK_DURATION": ("segmentation", "chunk_duration"),
    "WEBSOCKET_OVERLAP_DURATION": ("segmentation", "overlap_duration"),
    "WEBSOCKET_CHUNK_TIMEOUT": ("engine", "chunk_timeout"),
    "WEBSOCKET_WHISPER_MODEL": ("engine", "model"),
    "LOG_LEVEL": ("log", "level"),
}
"""Environment variables of the system whose clients we serve, and the setting each one means here."""


class Settings(BaseSettings):
    """All settings, checked.  Made by :func:`ambientd.config.load`, never changed afterwards."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", strict=True)

    box: Box = Box()
    server: Server = Server()
    lan: Lan = Lan()
    admission: Admission = Admission()
    audio: Audio = Audio()
    microphone: Microphone = Microphone()
    recording: Recording = Recording()
    later: Later = Later()
    segmentation: Segmentation = Segmentation()
    engine: Engine = Engine()
    vocabulary: Vocabulary = Vocabulary()
    refinement: Refinement = Refinement()
    uploads: Uploads = Uploads()
    models: Models
    store: Store
    retention: Retention = Retention()
    access: Access = Access()
    sync: Sync = Sync()
    log: Log = Log()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def __init__(self, *sources: PydanticBaseSettingsSource) -> None:
        # Only the sources given, the first the strongest: by itself pydantic-settings would also take $SERVER
        # or $LOG from the environment as whole tables.
        super().__init__(_build_sources=(sources, {}))

    def origin(self, table: str, key: str) -> str:
        """Where the value of ``table.key`` came from: ``default``, a file, or ``environment NAME``."""
        return self._origins.get(f"{table}.{key}", "default")
