"""The page that tells each kind of tablet how to trust the box, and the forms in which it takes the certificate."""

from __future__ import annotations

import base64
import textwrap
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Final

from ambientd.core.network import Certificate, Standing

POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'none'"
)
"""No script at all: whoever looks at this page does not trust the box yet."""

STYLE: Final = """\
:root { color-scheme: light dark; font: 1.05rem/1.5 system-ui, sans-serif; }
body { max-width: 46rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
code, .print { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
.print { font-size: .95rem; border-left: .25rem solid; padding-left: .75rem; margin-left: 0; }
.get { display: inline-block; min-height: 2.75rem; line-height: 2.75rem; padding: 0 1.1rem; border-radius: .5rem;
  background: #0b5cad; color: #fff; text-decoration: none; margin: .25rem .5rem .25rem 0; }
.get:focus-visible, summary:focus-visible { outline: .2rem solid #e8a200; outline-offset: .15rem; }
summary { min-height: 2.75rem; line-height: 2.75rem; font-weight: 600; cursor: pointer; }
img { background: #fff; padding: .5rem; max-width: 12rem; height: auto; }
li { margin: .35rem 0; }
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of device."""

    name: str
    file: str
    """What it takes."""
    label: str
    steps: str
    """What to do with it, a line each."""


MACHINES: Final = (
    Machine(
        "iPad, iPhone",
        "/ca.mobileconfig",
        "Get the profile",
        """\
        Open this page in Safari, tap the button and allow the download.
        Settings → “Profile Downloaded” (or General → VPN & Device Management): install it.
        Settings → General → About → Certificate Trust Settings: switch this box's certificate on.
        Without the last step Safari goes on warning.""",
    ),
    Machine(
        "Android",
        "/ca.crt",
        "Get the certificate",
        """\
        Tap the button; the file ambientd-ca.crt is saved.
        Settings → Security & privacy → More → Encryption & credentials → Install a certificate → CA certificate.
        Say “Install anyway” and choose the file. Makers use other words: search the settings for “CA certificate”.
        Use Chrome: Firefox for Android does not look at installed certificates.""",
    ),
    Machine(
        "Windows (Edge, Chrome)",
        "/ca.crt",
        "Get the certificate",
        """\
        Open the file → Install Certificate → Local Machine, or Current User.
        “Place all certificates in the following store” → Trusted Root Certification Authorities.
        Close the browser and open it again.""",
    ),
    Machine(
        "Mac",
        "/ca.crt",
        "Get the certificate",
        """\
        Open the file: Keychain Access adds it to “login”.
        Find it there, open it, and under Trust set “When using this certificate” to Always Trust.""",
    ),
    Machine(
        "ChromeOS",
        "/ca.crt",
        "Get the certificate",
        """\
        Settings → Privacy and security → Security → Manage certificates → Authorities → Import.
        Choose the file and tick “Trust this certificate for identifying websites”.""",
    ),
    Machine(
        "Firefox on a computer",
        "/ca.crt",
        "Get the certificate",
        """\
        Settings → Privacy & Security → Certificates → View Certificates → Authorities → Import.
        Choose the file and tick “Trust this CA to identify websites”.""",
    ),
    Machine(
        "Linux (Chrome, Chromium)",
        "/ca.pem",
        "Get the certificate",
        """\
        In a terminal: certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n ambientd -i ambientd-ca.pem
        Close the browser and open it again.""",
    ),
)

_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Certificate of this box</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/ca.css">
</head>
<body>
<main>
<h1>Make this device trust the box</h1>
<p>The box proves with a certificate that it is the one in your clinic. It made that certificate itself, so each
device must be told once. Until then the browser warns, and the microphone may stay shut.</p>
<p>The device will trust this box for names and addresses inside your network only, for no site on the internet.</p>
<h2>1. Compare</h2>
<p>This is the fingerprint of the certificate. It must be the one that <code>ambientctl certificate show</code> prints
on the box itself; your operator has it.</p>
<p class="print">$fingerprint</p>
<h2>2. Install</h2>
$machines
<h2>3. Go on</h2>
$onward
<h2>This page on another device</h2>
$elsewhere
<p>$authority</p>
</main>
</body>
</html>
""")


def page_of(standing: Standing, addresses: Sequence[str]) -> str:
    """The page.  ``addresses``: where the box is in the network, the best first."""
    onward = f'<p><a class="get" href="{escape(addresses[0])}/">To the box</a></p>' if addresses else ""
    elsewhere = [f"<p><code>{escape(each)}/ca</code></p>" for each in addresses]
    if addresses:
        elsewhere.insert(
            0, '<p><img src="/ca.svg" width="192" height="192" alt="QR code of the first address below"></p>'
        )
    else:
        elsewhere = ["<p>The box has no address in a network now.</p>"]
    authority, used = standing.authority, standing.certificate
    return _PAGE.substitute(
        fingerprint=_groups(authority.sha256),
        machines="\n".join(map(_machine, MACHINES)),
        onward=onward or "<p>Open the box's page again.</p>",
        elsewhere="\n".join(elsewhere),
        authority=escape(
            f"{authority.subject}, until {authority.ends:%Y-%m-%d}. In use: {used.subject}, until {used.ends:%Y-%m-%d}."
        ),
    )


def pem_of(der: bytes) -> bytes:
    """A certificate as text."""
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""]).encode()


def profile_of(der: bytes, authority: Certificate) -> bytes:
    """A configuration profile with one certificate, for iPads and iPhones.

    Source: Apple's "Configuration Profile Reference", payload ``com.apple.security.root``.
    """
    # From the certificate, so that the same profile installed again replaces itself.
    inner, outer = (
        uuid.uuid5(uuid.NAMESPACE_OID, f"{authority.sha256} {part}") for part in ("root", "profile")
    )
    name = escape(authority.subject.partition("CN=")[2].partition(",")[0] or "ambientd")
    return _PROFILE.substitute(
        data=base64.b64encode(der).decode(),
        name=name,
        inner=str(inner).upper(),
        outer=str(outer).upper(),
    ).encode()


_PROFILE: Final = Template("""\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>PayloadContent</key><array><dict>
<key>PayloadCertificateFileName</key><string>ambientd-ca.crt</string>
<key>PayloadContent</key><data>$data</data>
<key>PayloadDisplayName</key><string>$name</string>
<key>PayloadIdentifier</key><string>ambientd.root.$inner</string>
<key>PayloadType</key><string>com.apple.security.root</string>
<key>PayloadUUID</key><string>$inner</string>
<key>PayloadVersion</key><integer>1</integer>
</dict></array>
<key>PayloadDescription</key>
<string>Lets this device trust the ambientd box in your clinic, and nothing on the internet.</string>
<key>PayloadDisplayName</key><string>$name</string>
<key>PayloadIdentifier</key><string>ambientd.profile.$outer</string>
<key>PayloadType</key><string>Configuration</string>
<key>PayloadUUID</key><string>$outer</string>
<key>PayloadVersion</key><integer>1</integer>
</dict></plist>
""")


def _machine(machine: Machine) -> str:
    steps = "\n".join(f"<li>{escape(line.strip())}</li>" for line in machine.steps.splitlines())
    return (
        f"<details><summary>{escape(machine.name)}</summary>\n"
        f'<p><a class="get" href="{machine.file}">{escape(machine.label)}</a></p>\n<ol>\n{steps}\n</ol></details>'
    )


def _groups(sha256: str) -> str:
    """A fingerprint in groups of eight bytes, which people can compare."""
    pairs = sha256.split(":")
    return "<br>\n".join(" ".join(pairs[at : at + 8]) for at in range(0, len(pairs), 8))
