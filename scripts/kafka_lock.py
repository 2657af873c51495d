"""Writes the lock of Kafka's jars: every jar that a broker and its tools need, with its sha256.

.venv/bin/python scripts/kafka_lock.py [VERSION [FILE]]     needs Maven (Debian: maven)

FILE is the lock of the recipe; tests/kafka/older.lock is of an older version, which tests start.

Maven resolves the versions, as for any project that depends on these artefacts, and checks what it
fetches. The lock is a commit of its own: read its diff before it is merged.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path(__file__).parents[1] / "include/startup_scripts/kafka/artefacts.lock"
VERSION = "4.4.0"
LOG4J = "2.26.1"  # the binding of slf4j 1.7, which Kafka uses; its own packages bring the same
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy-dependencies"

# Without Kafka Connect, which is no broker's; one command of kafka-tools would need it.
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>bakehouse</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{kafka}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{kafka}</version>
      <exclusions>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{log4j}</version>
    </dependency>
  </dependencies>
</project>
"""

HEADER = """\
# sha256 and path in the repository: all jars of Apache Kafka {kafka}, with those that they need
# (scripts/kafka_lock.py writes this file)
"""


def main() -> int:
    """Write the lock; returns the exit code."""
    version = sys.argv[1] if len(sys.argv) > 1 else VERSION
    lock = Path(sys.argv[2]) if len(sys.argv) > 2 else LOCK
    if not (maven := shutil.which("mvn")):
        print("kafka_lock: there is no mvn: apt-get install maven", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pom.xml").write_text(POM.format(kafka=version, log4j=LOG4J), "utf-8")
        layout = ["-Dmdep.useRepositoryLayout=true", f"-DoutputDirectory={folder / 'jars'}"]
        command = [maven, "--batch-mode", "--quiet", "--strict-checksums", COPY, *layout]
        if code := subprocess.run(command, cwd=folder, check=False).returncode:
            print(f"kafka_lock: Maven did not resolve Kafka {version}", file=sys.stderr)
            return code
        lines = [line_of(jar, folder / "jars") for jar in sorted((folder / "jars").rglob("*.jar"))]
    lock.write_text(HEADER.format(kafka=version) + "".join(lines), "utf-8")
    print(f"{lock}: {len(lines)} jars")
    return 0


def line_of(jar: Path, folder: Path) -> str:
    """The line of the lock: what `sha256sum` prints."""
    return f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.relative_to(folder)}\n"


if __name__ == "__main__":
    sys.exit(main())
