"""The server gets a certificate from a local ACME authority (pebble) by TLS-ALPN-01, serves it, and
has it from its cache after a restart. `cargo xtask test --only deploy` runs it."""

import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time

DOMAIN = "sfu.test"
PATIENCE = 60


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def subject_of(port):
    """The names in the certificate that is served for the domain; none as long as there is none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=5) as tcp:
        with context.wrap_socket(tcp, server_hostname=DOMAIN) as tls:
            der = tls.getpeercert(binary_form=True)
            tls.sendall(b"GET /readyz HTTP/1.1\r\nHost: sfu.test\r\nConnection: close\r\n\r\n")
            answer = tls.recv(100)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return der


def certificate(port, process):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return subject_of(port)
        except OSError as error:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, f"no certificate: {error}"
            time.sleep(0.2)


def main(server):
    folder = tempfile.TemporaryDirectory()
    home = pathlib.Path(folder.name)
    authority, management, http, dns, dns_management = (free_port() for _ in range(5))
    # The authority's own certificate, which the server is told to trust.
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", home / "key.pem", "-out", home / "cert.pem", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, capture_output=True)
    settings = {"pebble": {
        "listenAddress": f"127.0.0.1:{authority}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(home / "cert.pem"), "privateKey": str(home / "key.pem"),
        "httpPort": 1, "tlsPort": http, "ocspResponderURL": "",
        "externalAccountBindingRequired": False}}
    (home / "pebble.json").write_text(json.dumps(settings))
    started = []

    def start(arguments, **more):
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
        started.append(process)
        return process

    try:
        start(["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
               "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{dns_management}",
               "-http01", "", "-https01", "", "-tlsalpn01", ""])
        # Without the waits that keep clients of the real one from hurrying.
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
        start(["pebble", "-config", home / "pebble.json", "-dnsserver", f"127.0.0.1:{dns}"],
              env=environment)
        command = [server, "serve", "--open", "--http-addr", f"127.0.0.1:{http}", "--udp-port", "0"]
        for setting, value in {
            "mode": "acme", "acme_domains": DOMAIN, "acme_email": "operator@sfu.test",
            "acme_directory": f"https://localhost:{authority}/dir",
            "acme_cache": home / "acme", "acme_roots_file": home / "cert.pem",
        }.items():
            command += ["--set", f"tls.{setting}={value}"]
        first = start(command)
        of_first = certificate(http, first)
        assert DOMAIN.encode() in of_first, "it is for another name"
        first.terminate()
        first.wait(PATIENCE)
        again = start(command)
        assert certificate(http, again) == of_first, "after a restart it was asked for anew"
        print("1 passed, 0 failed")
    except BaseException:
        for process in started:
            process.terminate()
            print(process.communicate()[0].decode()[-3000:])
        raise
    finally:
        for process in started:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main(sys.argv[1])
