"""Kafka's jars, which Maven downloads into a cache directory once."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSION = "4.1.2"

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>aep-bridge</groupId><artifactId>test-kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def missing_tools() -> list[str]:
    """Return the programs that a real broker needs and this machine lacks."""
    return [tool for tool in ("java", "mvn") if shutil.which(tool) is None]


def cache() -> Path:
    """Return `$XDG_CACHE_HOME/aep-bridge/kafka-…`; without that variable, the repository's `.cache/kafka`."""
    home = os.environ.get("XDG_CACHE_HOME")
    if home:
        return Path(home) / "aep-bridge" / f"kafka-{VERSION}"
    return Path(__file__).parents[2] / ".cache" / "kafka"


def jars() -> Path:
    """Return the directory of the jars; download them first if it does not exist.

    Raises `RuntimeError` with Maven's last lines.
    """
    target = cache() / "libs"
    if target.is_dir():
        return target
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as name:
        work = Path(name)
        (work / "pom.xml").write_text(_POM, encoding="utf-8")
        command = ["mvn", "-q", "-B", "-f", str(work / "pom.xml"), "dependency:copy-dependencies"]
        done = subprocess.run(
            [*command, "-DincludeScope=runtime", f"-DoutputDirectory={work / 'libs'}"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"Maven could not fetch Kafka {VERSION}:\n{(done.stdout + done.stderr)[-3000:]}"
            )
        try:
            (work / "libs").rename(target)
        except OSError:  # another process was faster
            if not target.is_dir():
                raise
    return target
