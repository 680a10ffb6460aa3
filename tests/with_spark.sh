#!/usr/bin/env bash
# Run a command with Spark at hand: tests/with_spark.sh CMD…
#
# Where there is Java (17 or later), pyspark is installed into .venv from requirements/spark.txt:
# some 480 MB, which nobody needs who does not test it. Else the command runs all the same, and its
# Spark tests skip themselves; with CI=true that is an error, so that they cannot be left out unseen.
set -uo pipefail

java="$(command -v "${JAVA_HOME:+$JAVA_HOME/bin/}java" || true)"
why=""
if [ -z "$java" ]; then
    why="there is no Java; install a runtime of version 17 or later, or set JAVA_HOME"
else
    version="$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)"
    if [ "${version:-0}" -lt 17 ]; then
        why="Java here is version ${version:-unknown}, and Spark needs 17 or later"
    elif ! log="$(.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes --no-deps \
            -r requirements/spark.txt 2>&1)"; then
        why="pyspark could not be installed: $(tail -n 1 <<<"$log")"
    fi
fi

if [ -n "$why" ]; then
    if [ "${CI:-}" = "true" ]; then
        echo "Spark tests cannot run: $why. CI must run them." >&2
        exit 1
    fi
    echo "Spark tests are skipped: $why."
fi
exec "$@"
