"""A microphone is found by what stays the same, on a box as the kernel shows it."""

from pathlib import Path

import pytest

from ambientd.capture.devices import Card, cards, choose, found, meant, names, plain, signature


def box(root: Path, *usb: tuple[str, str, str]) -> Path:
    """A box with a built-in sound card and USB microphones: name, id, socket."""
    listing = [" 0 [PCH            ]: HDA-Intel - HDA Intel PCH"]
    for folder in ("sys/class/sound", "dev/snd", "proc/asound/card0/pcm0c/sub0", "sys/devices/pci/sound"):
        (root / folder).mkdir(parents=True)
    (root / "sys/devices/pci/sound/card0").mkdir()
    (root / "sys/class/sound/card0").symlink_to(root / "sys/devices/pci/sound/card0")
    (root / "sys/devices/pci/sound/card0/device").symlink_to(root / "sys/devices/pci")
    (root / "proc/asound/card0/pcm0c/sub0/status").write_text("closed\n")
    for number, (name, ids, socket) in enumerate(usb, start=1):
        interface = root / f"sys/devices/pci/usb1/{socket}/{socket}:1.0"
        (interface / f"sound/card{number}").mkdir(parents=True)
        maker, _, product = ids.partition(":")
        (interface.parent / "idVendor").write_text(maker + "\n")
        (interface.parent / "idProduct").write_text(product + "\n")
        (interface / f"sound/card{number}/device").symlink_to(interface)
        (root / f"sys/class/sound/card{number}").symlink_to(interface / f"sound/card{number}")
        known = root / f"proc/asound/card{number}"
        (known / "pcm0c/sub0").mkdir(parents=True)
        (known / "usbid").write_text(ids + "\n")
        (known / "pcm0c/sub0/status").write_text("closed\n")
        (root / f"dev/snd/pcmC{number}D0c").touch()
        listing.append(f" {number} [Device{number}        ]: USB-Audio - {name}")
        listing.append("                      a line that means nothing here")
    (root / "proc/asound/cards").write_text("\n".join(listing) + "\n")
    return root


HEADSET = ("USB Audio Device", "0d8c:0014", "1-2")
TWIN = ("USB Audio Device", "0d8c:0014", "1-1.4")
TABLE = ("Jabra SPEAK 510 USB", "0b0e:0420", "1-3")


def listed(root: Path):
    """PortAudio's list of that box, in an order of its own."""
    known = cards(root)
    labels = [f"{card.name}: - (hw:{card.number},0)" for card in reversed(known)]
    labels += ["sysdefault", "default"]
    return [
        found(index, label, channels=2, rate=48_000, default=label == "default", cards=known)
        for index, label in enumerate(labels)
    ]


def test_the_kernels_cards_are_read_with_their_usb_ids_and_sockets(tmp_path: Path):
    known = cards(box(tmp_path, HEADSET, TABLE))

    assert [(card.number, card.usb, card.socket, card.name) for card in known] == [
        (0, "", "", "HDA Intel PCH"),
        (1, "0d8c:0014", "1-2", "USB Audio Device"),
        (2, "0b0e:0420", "1-3", "Jabra SPEAK 510 USB"),
    ]
    assert all(card.captures and card.allowed and not card.busy for card in known)


def test_a_card_whose_only_stream_is_open_is_busy(tmp_path: Path):
    root = box(tmp_path, HEADSET)
    (root / "proc/asound/card1/pcm0c/sub0/status").write_text("state: RUNNING\nowner_pid   : 77\n")

    assert [card.busy for card in cards(root)] == [False, True]


def test_the_usb_id_is_found_in_proc_where_sys_has_none(tmp_path: Path):
    root = box(tmp_path, HEADSET)
    (root / "sys/devices/pci/usb1/1-2/idVendor").unlink()
    (root / "sys/devices/pci/usb1/1-2/idProduct").unlink()

    assert cards(root)[1].usb == "0d8c:0014"


def test_a_box_without_sound_has_no_cards(tmp_path: Path):
    assert cards(tmp_path) == []
    assert signature(tmp_path) == frozenset()


def test_a_card_that_comes_changes_the_signature(tmp_path: Path):
    root = box(tmp_path, HEADSET)
    before = signature(root)
    (root / "sys/class/sound/card2").mkdir()

    assert signature(root) != before


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("0b0e:0420", "Jabra SPEAK 510 USB"),
        ("0B0E:0420", "Jabra SPEAK 510 USB"),
        ("0b0e:0420@1-3", "Jabra SPEAK 510 USB"),
        ("Jabra SPEAK 510 USB", "Jabra SPEAK 510 USB"),
        ("jabra", "Jabra SPEAK 510 USB"),
        ("speak 510", "Jabra SPEAK 510 USB"),
        ("Jabra SPEAK 510 USB: - (hw:7,0)", "Jabra SPEAK 510 USB"),
        ("default", "default"),
    ],
)
def test_a_device_is_meant_by_id_name_or_part_of_it(tmp_path: Path, wanted: str, name: str):
    device = choose(listed(box(tmp_path, HEADSET, TABLE)), wanted)

    assert device is not None
    assert device.name == name


@pytest.mark.parametrize("wanted", ["0b0e:0421", "0b0e:0420@1-2", "Rode"])
def test_a_device_that_is_not_there_is_not_replaced_by_another(tmp_path: Path, wanted: str):
    assert choose(listed(box(tmp_path, HEADSET, TABLE)), wanted) is None


def test_without_a_wish_a_usb_microphone_is_taken_else_the_systems_own_choice(tmp_path: Path):
    with_usb = choose(listed(box(tmp_path / "one", HEADSET)), "")
    without = choose(listed(box(tmp_path / "two")), "")

    assert with_usb is not None
    assert without is not None
    assert (with_usb.name, without.name) == ("USB Audio Device", "default")
    assert choose([], "") is None


def test_two_of_a_make_are_told_apart_by_their_sockets(tmp_path: Path):
    devices = listed(box(tmp_path, HEADSET, TWIN))

    assert names(devices)[:2] == ["0d8c:0014@1-1.4", "0d8c:0014@1-2"]
    for device, name in zip(devices[:2], names(devices), strict=False):
        assert choose(devices, name) is device


def test_every_name_means_its_own_device(tmp_path: Path):
    devices = listed(box(tmp_path, HEADSET, TABLE))

    assert [choose(devices, name) for name in names(devices)] == devices


def test_a_name_loses_what_changes_from_start_to_start():
    assert plain("USB Audio Device: - (hw:1,0)") == "USB Audio Device"
    assert plain("HDA Intel PCH: ALC269VC Analog (hw:0,0)") == "HDA Intel PCH: ALC269VC Analog"


def test_cards_that_portaudio_left_out_are_found_by_the_same_wish():
    busy = Card(1, "USB Audio Device", "0d8c:0014", "1-2", busy=True)
    deaf = Card(0, "HDA Intel HDMI", captures=False)

    assert meant([deaf, busy], "") == [busy]
    assert meant([deaf, busy], "0d8c:0014") == [busy]
    assert meant([deaf, busy], "USB Audio Device: - (hw:1,0)") == [busy]
    assert meant([deaf, busy], "Jabra") == []
