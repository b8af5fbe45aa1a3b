"""The box's certificate: how it stands, the authority to install, and a page that tells each kind of tablet how.

The page has no script and takes nothing from the request but the name the box was called by, which was checked.
"""

from __future__ import annotations

from dataclasses import asdict
from io import BytesIO
from typing import Any

from aiohttp import web

from ambientd.api.access import actor, allows, open_to_all
from ambientd.api.body import json_object
from ambientd.api.certificate_page import POLICY, STYLE, page_of, pem_of, profile_of
from ambientd.api.described import Binary, PlainText, described
from ambientd.api.models.box import CertificateStanding, RenewWanted
from ambientd.api.network import NETWORK, Network
from ambientd.api.origin import peer
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission
from ambientd.core.network import Certificate, Standing
from ambientd.errors import ClientError

routes = web.RouteTableDef()


@routes.get("/ca")
@open_to_all
@described(content={"text/html": PlainText}, errors=(404,))
async def page(request: web.Request) -> web.Response:
    """How to make this tablet trust the box."""
    network, standing = _open_door(request)
    return web.Response(
        text=page_of(standing, _addresses(request, network)),
        content_type="text/html",
        headers={"Content-Security-Policy": POLICY},
    )


@routes.get("/ca.css")
@open_to_all
@described(content={"text/css": PlainText})
async def style(_request: web.Request) -> web.Response:
    """The page's looks."""
    return web.Response(text=STYLE, content_type="text/css")


@routes.get("/ca.svg")
@open_to_all
@described(content={"image/svg+xml": PlainText}, errors=(404,))
async def code(request: web.Request) -> web.Response:
    """The page's address as a QR code."""
    network, _ = _open_door(request)
    there = _addresses(request, network)
    if not there:
        raise web.HTTPNotFound(text="The box has no address in the network.")
    import segno  # noqa: PLC0415 - used once in a box's life

    drawn = BytesIO()
    segno.make(f"{there[0]}/ca", micro=False).save(drawn, kind="svg", xmldecl=False, omitsize=True)
    return web.Response(
        body=drawn.getvalue(),
        content_type="image/svg+xml",
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )


@routes.get("/ca.crt")
@open_to_all
@described(content={"application/x-x509-ca-cert": Binary}, errors=(404,))
async def der(request: web.Request) -> web.Response:
    """The authority, DER: what tablets and Windows take."""
    network, _ = _open_door(request)
    return _file(network.authority_der, "application/x-x509-ca-cert", "ambientd-ca.crt")


@routes.get("/ca.pem")
@open_to_all
@described(content={"application/x-pem-file": Binary}, errors=(404,))
async def pem(request: web.Request) -> web.Response:
    """The authority, PEM: what programs take."""
    network, _ = _open_door(request)
    return _file(pem_of(network.authority_der), "application/x-pem-file", "ambientd-ca.pem")


@routes.get("/ca.mobileconfig")
@open_to_all
@described(content={"application/x-apple-aspen-config": Binary}, errors=(404,))
async def profile(request: web.Request) -> web.Response:
    """The authority as a profile for iPads and iPhones."""
    network, standing = _open_door(request)
    return _file(
        profile_of(network.authority_der, standing.authority),
        "application/x-apple-aspen-config",
        "ambientd-ca.mobileconfig",
    )


@routes.get("/api/v1/certificate")
@open_to_all
@described(CertificateStanding, errors=(404,))
async def shown(request: web.Request) -> web.Response:
    """How the box stands with its certificate; all of it is public."""
    network, standing = _open_door(request)
    return web.json_response(_json(network, standing))


@routes.post("/api/v1/certificate/renew")
@allows(Permission.RUN_BOX)
@described(CertificateStanding, body=RenewWanted, body_required=False, errors=(404,))
async def renew(request: web.Request) -> web.Response:
    """A new certificate now; with ``{"authority": true}`` a new authority too, which every tablet must install."""
    network, _ = _open_door(request)
    wishes = await json_object(request) if request.can_read_body else {}
    if not isinstance(wishes.get("authority", False), bool):
        raise ClientError(
            "bad_request", "the body must be a JSON object", hint='Such as {"authority": false}.'
        )
    await request.app[SERVICES].audit.record(
        actor=actor(request, "operator"),
        action="authority.renewed" if wishes.get("authority") else "certificate.renewed",
        origin=peer(request),
    )
    await network.renew(authority=bool(wishes.get("authority")))
    standing = network.standing
    assert standing is not None  # noqa: S101 - there was one before
    return web.json_response(_json(network, standing))


def _open_door(request: web.Request) -> tuple[Network, Standing]:
    network = request.app.get(NETWORK)
    if network is None or network.standing is None:
        raise ClientError(
            "no_lan",
            "this box has no door to the network",
            hint="Set lan.enabled, and look at ambientctl doctor.",
        )
    return network, network.standing


def _addresses(request: web.Request, network: Network) -> list[str]:
    """Where this page is on the network: first as it was asked for, if that was on the network."""
    mine = [each for each in network.addresses if each == f"https://{request.host}"]
    return list(dict.fromkeys([*mine, *network.addresses]))


def _json(network: Network, standing: Standing) -> dict[str, Any]:
    return {
        "source": standing.source,
        "certificate": _described(standing.certificate),
        "authority": _described(standing.authority),
        "faults": list(standing.faults),
        "left_out": list(standing.left_out),
        "addresses": list(network.addresses),
    }


def _described(certificate: Certificate) -> dict[str, Any]:
    fields = asdict(certificate)
    return fields | {
        "names": list(certificate.names),
        "begins": certificate.begins.isoformat(),
        "ends": certificate.ends.isoformat(),
    }


def _file(content: bytes, kind: str, name: str) -> web.Response:
    return web.Response(
        body=content, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
