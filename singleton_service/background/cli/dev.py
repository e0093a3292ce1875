"""`dev`: all that an application needs while somebody writes it."""

from __future__ import annotations

import socket
from contextlib import closing
from importlib.util import find_spec

import click

from singleton_service.background.supervisor import Program
from singleton_service.background.supervisor.child import python

from .output import note
from .prefixes import Prefixes
from .problems import CommandError
from .serving import Work
from .supervising import Banner, program, supervise


@click.command("dev")
@click.argument("modules", nargs=-1, metavar="[APP:NAME] [MODULE]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the app listens.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="The same.")
@click.option("--threads", type=click.IntRange(1, 1000), default=4, show_default=True, help="As for worker.")
@click.pass_context
def dev_command(context: click.Context, modules: tuple[str, ...], host: str, port: int, threads: int) -> None:
    """Run all that while you write it, a web app beside it, anew at each change.

    A worker, a scheduler and a web app, each line that they print under its name; one Ctrl-C ends all of them.

    APP:NAME is the app as uvicorn takes it, such as app.main:app; left out, there is none. MODULE is as for worker;
    left out, the app's own. When a .py file below the working directory changes all start anew; where that can't be
    imported, its error is shown, and the next change waited for.
    """
    apps = [each for each in modules if ":" in each]
    tasks = tuple(each for each in modules if ":" not in each) or tuple(each.partition(":")[0] for each in apps)
    if len(apps) > 1:
        raise click.UsageError(f"one app at a time: {apps[0]} or {apps[1]}")
    if not tasks:
        raise CommandError("nothing to run: name an app or a module", fix=f"{context.command_path} app.main:app")
    programs = [
        program(context, "worker", Work("worker", tasks, threads=threads)),
        program(context, "scheduler", Work("scheduler", tasks, fires=True)),
    ]
    if apps:
        if find_spec("uvicorn") is None:
            raise CommandError("an app takes uvicorn", fix='pip install "singleton-service[fastapi]"')
        _check_port(host, port)
        command = (*python(), "-m", "singleton_service.background.cli.web", apps[0], host, str(port))
        programs.append(Program("web", command, is_alone=True))
        note(f"web: http://{host}:{port}")
    with closing(Prefixes([each.name for each in programs])) as prefixes:
        context.exit(supervise(programs, Banner("dev", fires=True), reload=True, prefixes=prefixes))


def _check_port(host: str, port: int) -> None:
    # Whoever has it says so at once, instead of each time that uvicorn is started again.
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise CommandError(
            f"port {port} of {host} can't be had", error.strerror or str(error), f"Choose another: --port {port + 1}"
        ) from error
