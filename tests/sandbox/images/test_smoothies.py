"""Fruit Smoothies: page, API and database, each asking the next by its Service. Here without a mesh and a browser:
tests/pages has both. Paths and shapes are those of the Azure Kubernetes Workshop's ratings-api."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from sandbox.images import smoothies_page
from tests.sandbox.node.conftest import Place, container

BANANA = "000000000000000000000001"


async def smoothies(place: Place, **env: str) -> None:
    """All three, with their services."""
    variables = {
        "MONGODB_URI": "mongodb://db:27017/ratingsdb",
        "API": "http://api.default.svc.cluster.local",
        **env,
    }
    given = [{"name": name, "value": value} for name, value in variables.items()]
    await place.serving("db", container("mongo:8.0.15", env=given))
    await place.expose("db", 27017)
    await place.serving("api", container("registry.example/ratings-api:v1.0.0", env=given))
    await place.expose("api", 80, 3000)
    await place.serving("web", container("registry.example/ratings-web:v1", env=given))
    await place.expose("web", 80, 8080)


async def ask(place: Place, url: str, *arguments: str) -> tuple[int, str]:
    """Status and body, as seen in the page's own pod."""
    status, out, err = await place.exec("web", "curl", "-s", "-w", "\n%{http_code}", *arguments, url)
    assert status == 0, err
    body, _, code = out.rpartition("\n")
    return int(code), body


async def api(place: Place, path: str, body: Any = None, *arguments: str) -> tuple[int, Any]:
    sent = () if body is None else ("-X", "POST", "--data", json.dumps(body))
    status, answer = await ask(place, f"http://api{path}", *sent, *arguments)
    return status, json.loads(answer)


async def rate(place: Place, **form: str) -> tuple[int, str]:
    return await ask(place, "http://web/rate", "-X", "POST", "--data", urlencode(form))


@pytest.mark.parametrize(("password", "status"), [("right", 200), ("wrong", 503), ("", 503)])
async def test_who_has_the_password_gets_to_the_database(place: Place, password: str, status: int) -> None:
    root = {"MONGO_INITDB_ROOT_USERNAME": "ratings", "MONGO_INITDB_ROOT_PASSWORD": "right"}
    login = f"ratings:{password}@" if password else ""
    await smoothies(place, **root, MONGODB_URI=f"mongodb://{login}db/ratingsdb?authSource=admin", WELCOME="a < b")
    found, page = await ask(place, "http://web/")
    assert found == status
    assert ("<h1>a &lt; b</h1>" in page) == (status == 200)
    assert (await api(place, "/api/items"))[0] == status
    assert not any("right" in line or "wrong" in line for line in await place.log("api"))


async def test_the_api_answers_as_the_original(place: Place) -> None:
    await smoothies(place)
    status, items = await api(place, "/api/items")
    assert (status, items["status"], items["message"]) == (200, 200, "ok")
    assert [item["name"] for item in items["payload"]] == ["Banana", "Coconut", "Oranges", "Pineapple"]
    assert set(items["payload"][0]) == {"_id", "name", "uid", "img"}
    assert (await api(place, "/api/items/rated"))[1]["payload"] == []
    given = {"userIp": "192.0.2.7", "ratings": [{"id": BANANA, "rating": 5}, {"id": BANANA, "rating": 2}]}
    status, kept = await api(place, "/api/rate", given)
    assert status == 200
    assert [(one["rating"], one["raterIp"], one["itemRated"]) for one in kept["payload"]] == [
        (5, "192.0.2.7", [BANANA]),
        (2, "192.0.2.7", [BANANA]),
    ]
    (rated,) = (await api(place, "/api/items/rated"))[1]["payload"]
    assert (rated["name"], rated["stars"], rated["votes"], rated["average"], rated["halfstar"]) == (
        "Banana",
        7,
        2,
        3.5,
        3.5,
    )
    assert (await ask(place, "http://api/healthz")) == (200, "API health check - OK")


def test_the_page_fetches_nothing_from_elsewhere_and_shows_names_as_text() -> None:
    kiwi = {"_id": "5", "name": "<Kiwi>", "img": "http://elsewhere/kiwi.png"}
    page = smoothies_page.menu([kiwi], [], "web").decode()
    assert "&lt;Kiwi&gt;" in page
    assert "elsewhere" not in page
    assert "<Kiwi>" not in page


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/api/rate", {"ratings": [{"id": BANANA, "rating": 6}]}, 400, "from 0 to 5, not 6"),
        ("/api/rate", {"ratings": [{"id": BANANA, "rating": True}]}, 400, "not True"),
        ("/api/rate", {"ratings": [{"id": [], "rating": 1}]}, 400, "no smoothie of the id []"),
        ("/api/rate", {"ratings": [1]}, 400, "no smoothie"),
        ("/api/rate", {"ratings": []}, 400, "ratings are"),
        ("/api/rate", [], 400, "ratings are"),
        ("/api/item", {"name": "Kiwi"}, 501, "has no /api/item"),
        ("/api/items", {}, 405, ""),
        ("/api/rate", None, 405, ""),
        ("/api/sites/FR", None, 501, "has no /api/sites/FR"),
        ("/api/none", None, 404, ""),
        ("/api/loadtest", None, 501, "has no /api/loadtest"),
    ],
)
async def test_what_is_no_rating_is_refused_and_not_kept(
    place: Place, path: str, body: Any, status: int, said: str
) -> None:
    await smoothies(place)
    sent = () if body is None else ("-X", "POST", "--data", json.dumps(body))
    code, answer = await ask(place, f"http://api{path}", *sent)
    assert code == status
    assert said in answer
    assert (await api(place, "/api/items/rated"))[1]["payload"] == []


async def test_a_rating_of_the_page_outlives_page_and_api_but_not_the_database(place: Place) -> None:
    await smoothies(place)
    assert "No rating yet" in (await ask(place, "http://web/"))[1]
    assert (await rate(place, fruit=BANANA, stars="4"))[0] == 303
    for name in ("api", "web"):
        spec = place.pod(name)["spec"]["containers"]
        place.cluster.delete("pods", "default", name, grace_seconds=0)
        await place.until(lambda name=name: place.cluster.find("pods", "default", name) is None)  # type: ignore[misc]
        await place.serving(name, *[{key: one[key] for key in ("name", "image", "env")} for one in spec])
        await place.until(lambda name=name: place.endpoints(name))  # type: ignore[misc]
    page = (await ask(place, f"http://web/?fruit={BANANA}&stars=4"))[1]
    assert "<b>4.0</b> from 1 rating<" in page
    assert page.count("Thank you for 4 stars!") == 1
    place.cluster.delete("pods", "default", "db", grace_seconds=0)
    await place.until(lambda: place.cluster.find("pods", "default", "db") is None)
    await place.serving("db", container("mongo:8.0.15"))
    await place.until(lambda: place.endpoints("db"))
    assert (await ask(place, "http://web/"))[1].count("No rating yet") == 4


async def test_the_page_says_who_is_missing(place: Place) -> None:
    await smoothies(place)
    assert (await rate(place, fruit=BANANA, stars="6"))[0] == 400
    status, page = await rate(place, fruit="<b>", stars="5")
    assert (status, "no smoothie of the id" in page, "<b>" in page) == (400, True, False)
    place.cluster.delete("services", "default", "db")
    status, page = await ask(place, "http://web/")
    assert (status, "MongoDB is not reached: db:27017" in page) == (503, True)
    assert (await rate(place, fruit=BANANA, stars="5"))[0] == 503
    assert (await ask(place, "http://api/healthz"))[0] == 503
    place.cluster.delete("services", "default", "api")
    status, page = await ask(place, "http://web/")
    assert (status, "http://api.default.svc.cluster.local is not reached" in page) == (503, True)
    assert (await ask(place, "http://web/api/items"))[0] == 501


@pytest.mark.parametrize(
    ("image", "env", "said"),
    [
        ("ratings-api:v1", {}, "MONGODB_URI does not say where"),
        ("ratings-api:v1", {"MONGODB_URI": "mongodb://me@db/x"}, "a user has a password"),
        ("ratings-api:v1", {"MONGODB_URI": "mongodb://db/x?replicaSet=a"}, "the option replicaSet"),
        ("ratings-api:v1", {"MONGODB_URI": "mongodb://a,b/x"}, "mongodb://HOST:PORT/NAME"),
        ("ratings-api:v1", {"MONGODB_URI": "mongodb://db/x", "PORT": "x"}, "PORT is no number: x"),
        ("ratings-web:v1", {}, "API does not say where"),
    ],
)
async def test_without_knowing_whom_to_ask_they_end(
    place: Place, image: str, env: dict[str, str], said: str
) -> None:
    given = [{"name": name, "value": value} for name, value in env.items()]
    place.start("app", container(image, env=given), restartPolicy="Never")
    await place.until(lambda: place.state("app").get("terminated"))
    log = "\n".join(await place.log("app"))
    assert said in log
    assert "hidden" not in log
