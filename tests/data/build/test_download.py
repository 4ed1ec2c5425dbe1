"""Download from a server on loopback: checked, resumed, unpacked safely."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tisdiss.data.build.download import download, unpack

NAME = "LibriSpeech/dev-clean/84/121123/84-121123-0000.flac"
NOISE = hashlib.shake_256(b"sound").digest(300_000)


def archive(*members: tuple[str, bytes | str]) -> bytes:
    """A .tar.gz; a text instead of bytes is the target of a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


GOOD = archive((NAME, NOISE), ("LibriSpeech/SPEAKERS.TXT", b"84 | F\n"))


class Server:
    """Serves one archive; `cut` ends the connection early, `ranges` says whether it resumes."""

    def __init__(self) -> None:
        self.content, self.cut, self.ranges, self.status = GOOD, 0, True, 200
        self.asked: list[str | None] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        if self.status != 200:
            handler.send_error(self.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if start >= len(self.content) > 0 and asked:
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/*")
        handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        body = self.content[start:]
        handler.wfile.write(body[: self.cut] if self.cut else body)


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.address = f"http://127.0.0.1:{http.server_port}"
    yield served
    http.shutdown()
    thread.join()
    http.server_close()


def get(server: Server, folder: Path, content: bytes | None = None, **options) -> Path:
    digest = hashlib.sha256(GOOD if content is None else content).hexdigest()
    options = {"address": server.address, "digests": {"dev-clean": digest}} | options
    return download("librispeech", "dev-clean", folder, **options)


def test_part_is_fetched_checked_and_unpacked_once(server, tmp_path):
    seen = []
    ready = get(server, tmp_path, on_progress=lambda done, total: seen.append((done, total)))
    assert ready == tmp_path / "LibriSpeech" / "dev-clean"
    assert (tmp_path / NAME).read_bytes() == NOISE
    assert (tmp_path / "LibriSpeech" / "SPEAKERS.TXT").exists()
    assert seen[-1] == (len(GOOD), len(GOOD))
    get(server, tmp_path)
    assert len(server.asked) == 1 and not (tmp_path / "dev-clean.tar.gz").exists()


def test_an_archive_that_was_there_stays(server, tmp_path):
    (tmp_path / "dev-clean.tar.gz").write_bytes(GOOD)
    assert get(server, tmp_path).is_dir()
    assert not server.asked and (tmp_path / "dev-clean.tar.gz").read_bytes() == GOOD


def test_broken_transfer_is_continued(server, tmp_path):
    server.cut = 100_000
    with pytest.raises(ValueError, match=r"broke after 100000 .*; run again to continue"):
        get(server, tmp_path)
    server.cut = 0
    get(server, tmp_path)
    assert server.asked == [None, "bytes=100000-"]
    assert (tmp_path / NAME).read_bytes() == NOISE


def test_server_that_cannot_resume_starts_again(server, tmp_path):
    (tmp_path / "dev-clean.tar.gz.part").write_bytes(b"x" * 5000)
    server.ranges = False
    assert get(server, tmp_path).is_dir()


def test_wrong_beginning_is_fetched_again_from_the_start(server, tmp_path):
    (tmp_path / "dev-clean.tar.gz.part").write_bytes(b"x" * 5000)
    assert get(server, tmp_path).is_dir()
    assert server.asked == ["bytes=5000-", None]


def test_whole_part_file_needs_no_byte_more(server, tmp_path):
    (tmp_path / "dev-clean.tar.gz.part").write_bytes(GOOD)
    assert get(server, tmp_path).is_dir() and len(server.asked) == 1


def test_wrong_content_is_thrown_away(server, tmp_path):
    with pytest.raises(ValueError, match=r"the file has SHA-256 .*, not .*, and was deleted"):
        get(server, tmp_path, b"something else")
    assert not list(tmp_path.glob("*.tar.gz*")) and not (tmp_path / "LibriSpeech").exists()


def test_refusal_of_the_server_is_told(server, tmp_path):
    server.status = 404
    with pytest.raises(ValueError, match=r"dev-clean\.tar\.gz: the server says 404"):
        get(server, tmp_path)


def test_no_server_is_told(tmp_path):
    with pytest.raises(ValueError, match="the transfer broke after 0 bytes"):
        download("librispeech", "dev-clean", tmp_path, address="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (("../evil.txt", b"x"), r"'\.\./evil\.txt' leaves LibriSpeech"),
        (("/tmp/evil.txt", b"x"), r"'/tmp/evil\.txt' leaves LibriSpeech"),
        (("LibriSpeech/../../evil.txt", b"x"), "leaves LibriSpeech"),
        (("other/file.txt", b"x"), "leaves LibriSpeech"),
        (("LibriSpeech/dev-clean/link", "/etc/passwd"), "is not a plain file or folder"),
        (("LibriSpeech/dev-clean/zeros.flac", bytes(20_000_000)), "far more content than the part"),
    ],
)
def test_archive_that_reaches_out_unpacks_nothing(tmp_path, member, message):
    path = tmp_path / "inner" / "bad.tar.gz"
    path.parent.mkdir()
    path.write_bytes(archive((NAME, b"sound"), member))
    with pytest.raises(ValueError, match=message):
        unpack(path, tmp_path / "inner", "dev-clean")
    assert not (tmp_path / "evil.txt").exists()
    assert [p.name for p in (tmp_path / "inner").iterdir()] == ["bad.tar.gz"]


def test_cut_archive_unpacks_nothing(tmp_path):
    path = tmp_path / "cut.tar.gz"
    path.write_bytes(GOOD[:-2000])
    with pytest.raises(ValueError, match=r"cut\.tar\.gz cannot be unpacked"):
        unpack(path, tmp_path, "dev-clean")
    assert [p.name for p in tmp_path.iterdir()] == ["cut.tar.gz"]


def test_unknown_names_are_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"no part 'dev'; it has dev-clean, dev-other, test-clean"):
        download("librispeech", "dev", tmp_path)
    with pytest.raises(ValueError, match="'wsj0' cannot be downloaded, only librispeech"):
        download("wsj0", "si_tr_s", tmp_path)
