#!/usr/bin/env bash
# Run a command with a headless Chromium and a Redis at hand: tests/with_browser.sh CMD…
#
# Debian's chromium and chromium-driver, and redis-server, are installed when they are missing and
# this may be done (root and apt-get). Else the command runs all the same, and the tests that need
# them skip themselves; with CI=true that is an error, so that they cannot be left out unseen.
set -uo pipefail

find_browser() {
    TANDEM_CHROMIUM="${TANDEM_CHROMIUM:-$(command -v chromium || command -v chromium-browser || true)}"
    TANDEM_CHROMEDRIVER="${TANDEM_CHROMEDRIVER:-$(command -v chromedriver || true)}"
    [ -x "$TANDEM_CHROMIUM" ] && [ -x "$TANDEM_CHROMEDRIVER" ]
}

why=""
if ! find_browser; then
    if ! command -v apt-get >/dev/null; then
        why="there is no apt-get to install Debian's chromium with"
    elif [ "$(id -u)" -ne 0 ]; then
        why="installing chromium and chromium-driver needs root"
    else
        echo "Installing chromium and chromium-driver for the browser tests …"
        log="$(mktemp)"
        export DEBIAN_FRONTEND=noninteractive
        if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver; } >"$log" 2>&1; then
            why="apt-get could not install them: $(grep -m1 '^E:' "$log" || tail -n 1 "$log")"
        elif ! find_browser; then
            why="chromium or chromedriver is still not on the path after installing them"
        fi
        rm -f "$log"
    fi
fi

if [ -z "$why" ]; then
    export TANDEM_CHROMIUM TANDEM_CHROMEDRIVER
else
    unset TANDEM_CHROMIUM TANDEM_CHROMEDRIVER
    if [ "${CI:-}" = "true" ]; then
        echo "Browser tests cannot run: $why. CI must run them." >&2
        exit 1
    fi
    echo "Browser tests are skipped: $why."
fi

# The tests start a server of their own; the one that Debian starts with the package is left alone.
why=""
if ! command -v redis-server >/dev/null; then
    if ! command -v apt-get >/dev/null; then
        why="there is no apt-get to install Debian's redis-server with"
    elif [ "$(id -u)" -ne 0 ]; then
        why="installing redis-server needs root"
    else
        echo "Installing redis-server for the tests of visitors' state …"
        log="$(mktemp)"
        export DEBIAN_FRONTEND=noninteractive
        if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server; } >"$log" 2>&1; then
            why="apt-get could not install it: $(grep -m1 '^E:' "$log" || tail -n 1 "$log")"
        elif ! command -v redis-server >/dev/null; then
            why="redis-server is still not on the path after installing it"
        fi
        rm -f "$log"
    fi
fi
if [ -n "$why" ]; then
    if [ "${CI:-}" = "true" ]; then
        echo "Tests with Redis cannot run: $why. CI must run them." >&2
        exit 1
    fi
    echo "Tests with Redis are skipped: $why."
fi
exec "$@"
