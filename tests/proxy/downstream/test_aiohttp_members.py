"""What is leant on of aiohttp's private members stands in one table, and the installed release has all of it."""

import ast
import asyncio
import inspect

import pytest
from aiohttp import web

from gateway.proxy.downstream import aiohttp_connection, in_turn
from gateway.proxy.downstream.aiohttp_connection import AiohttpConnection
from gateway.proxy.downstream.aiohttp_members import MEMBERS
from gateway.proxy.downstream.in_turn import InTurn

OURS = (InTurn, AiohttpConnection)


def of_self() -> tuple[set[str], set[str]]:
    """The private members of `self` that our two classes use, and those that they make."""
    used, made = set(), {name for one in OURS for name in vars(one)}
    for module in (in_turn, aiohttp_connection):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                used.add(node.attr)
            if isinstance(node, ast.AnnAssign | ast.Assign):
                targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
                made |= {one.attr for one in targets if isinstance(one, ast.Attribute)}
    return {name for name in used if name.startswith("_") and not name.startswith("__")}, made


@pytest.fixture
async def handler():
    return web.RequestHandler(web.Server(lambda request: web.Response()), loop=asyncio.get_running_loop())


def test_the_table_names_each_that_is_used_and_no_other():
    used, made = of_self()
    assert used - (made - MEMBERS.keys()) == MEMBERS.keys()


async def test_the_installed_aiohttp_has_them(handler):
    assert [name for name in MEMBERS if not hasattr(handler, name)] == []


async def test_no_member_of_ours_hides_one_of_aiohttps(handler):
    _, made = of_self()
    theirs = {*dir(web.RequestHandler), *getattr(handler, "__dict__", {})}
    ours = {name for name in made if name.startswith("_") and not name.startswith("__")}
    assert ours & theirs <= MEMBERS.keys()
