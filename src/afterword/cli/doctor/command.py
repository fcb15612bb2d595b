"""`afterword doctor`: the configuration, the store, and the user's app, link by link (layer 6)."""

from __future__ import annotations

import os

import click

from afterword.cli.doctor.app_checks import AppUnderTest, check_app
from afterword.cli.doctor.findings import Broken, Findings
from afterword.cli.doctor.spool_checks import check_spool
from afterword.cli.doctor.store_checks import check_store, settings_of
from afterword.cli.terminal import printable
from afterword.client import Client
from afterword.configuration import configuration

__all__ = ["doctor"]


@click.command()
@click.argument("app_url", required=False)
@click.option("--url", envvar="AFTERWORD_URL", help="The store; the app's own, to check all links.")
@click.option("--method", help="How to call the app; POST with --json, else GET.")
@click.option("--json", "body", metavar="JSON", help="A body that the app's endpoint wants.")
@click.option(
    "--feedback",
    "feedback_path",
    default="/feedback",
    show_default=True,
    help="Where the app mounts the feedback routes.",
)
@click.option("--origin", help="Another site whose pages should be able to give feedback.")
def doctor(
    app_url: str | None,
    url: str | None,
    method: str | None,
    body: str | None,
    feedback_path: str,
    origin: str | None,
) -> None:
    """Check the configuration, the spool and the store and, given APP_URL, the whole loop through an app.

    APP_URL is an endpoint that makes a generation. It is called once; one rating is given on what
    it answers, read back, and retracted.
    """
    settings = configuration(url=url)
    for name, value in settings_of(settings, os.environ).items():
        click.echo(printable(f"      {name}: {value}"))
    findings = Findings()
    check_spool(settings, findings)
    client = Client(settings.url)
    try:
        check_store(client, findings)
        if app_url is not None:
            named = method or ("GET" if body is None else "POST")
            app = AppUnderTest(app_url, named.upper(), body, feedback_path, origin)
            check_app(app, client, findings)
    except Broken:
        pass
    finally:
        client.close()
        for finding in findings.all:
            mark = "ok" if finding.holds else "BROKEN"
            click.echo(printable(f"{mark:<6}{finding.link}: {finding.seen}"))
    broken = findings.first_broken
    if broken is not None:
        raise click.ClickException(f"the first broken link is: {broken.link}")
