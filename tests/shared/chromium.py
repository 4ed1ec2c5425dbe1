"""A browser for tests of pages."""

import base64
import json
import os
import subprocess
import time


class Browser:
    """A headless Chromium, controlled over a pipe in its DevTools protocol."""

    def __init__(self, profile, *flags):
        (theirs_in, self.to), (self.back, theirs_out) = os.pipe(), os.pipe()

        def hand_over():
            os.dup2(theirs_in, 203), os.dup2(theirs_out, 204)
            os.dup2(203, 3), os.dup2(204, 4)

        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio"]
        command += ["--remote-debugging-pipe", "--autoplay-policy=no-user-gesture-required"]
        command += [f"--user-data-dir={profile}", *flags, "about:blank"]
        self.process = subprocess.Popen(
            command,
            preexec_fn=hand_over,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in), os.close(theirs_out)
        self.left, self.count, self.session = b"", 0, {}
        (page,) = [t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        attached = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = {"sessionId": attached["sessionId"]}
        self.errors, self.fetched = [], []
        """Exceptions of the page, and addresses that it fetched over the network."""
        self.ask("Runtime.enable")
        self.ask("Network.enable")

    def ask(self, method, **params):
        """Send a command and wait for its answer; what the page throws or fetches is noted."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params} | self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.left:
                read = os.read(self.back, 1 << 20)
                assert read, "the browser has gone"
                self.left += read
            one, _, self.left = self.left.partition(b"\0")
            answer = json.loads(one)
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(answer["params"])
            asked = answer.get("params", {}).get("request", {}).get("url", "")
            if asked.startswith("http"):
                self.fetched.append(asked)
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, expression):
        """The value of JavaScript in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression):
        """Wait until JavaScript in the page is true."""
        for _ in range(600):
            if self.run(expression):
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}")

    def open(self, address, width, height, mobile=False):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=address)
        self.wait(f"document.readyState === 'complete' && location.href === {address!r}")

    def press(self, key, code):
        """A key, as a person presses it."""
        what = {"key": key, "windowsVirtualKeyCode": code}
        what |= {"text": "\r"} if key == "Enter" else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **what)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **what)

    def click(self, selector):
        """The mouse on the middle of an element."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView("
            "{block: 'center'}); const b = e.getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        at = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.ask("Input.dispatchMouseEvent", type="mousePressed", **at)
        self.ask("Input.dispatchMouseEvent", type="mouseReleased", **at)

    def picture(self, path):
        """What the window shows, as a PNG."""
        shown = self.ask("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(shown))

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.to), os.close(self.back)
