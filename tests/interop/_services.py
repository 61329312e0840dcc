"""
Servers from Debian's packages, each as a private instance: all that it reads and
writes is in a directory of its own, and it listens on addresses of the loopback
interface only.

Debian: C{nginx-light}, C{postfix}, C{dovecot-imapd}, C{dovecot-pop3d},
C{postgresql}, C{slapd}, C{proftpd-mod-crypto}, C{prosody}.
"""

from __future__ import annotations

import contextlib
import getpass
import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ._tools import LOOPBACK, Background, background, freePort, runTool

#: Where Debian keeps what is not for everybody.
_PLACES = ("/usr/sbin", "/sbin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin"))))

#: Who runs what must not be root's.
_NOBODY = "nobody"


def found(command: str) -> str | None:
    """
    @return: the path of a command, if it is installed.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_PLACES])
    return shutil.which(command, path=path)


def absent(*commands: str, root: bool = False) -> str | None:
    """
    @param root: whether root alone can run them.
    @return: why a test that needs these commands cannot run, if so.
    """
    names = [command for command in commands if found(command) is None]
    if names:
        return "not installed: " + ", ".join(names)
    return "needs root" if root and os.geteuid() != 0 else None


def absentFile(path: str) -> str | None:
    """
    @return: why a test that needs this file cannot run, if so.
    """
    return None if Path(path).exists() else f"not installed: {path}"


def output(name: str, *arguments: str) -> str:
    """
    @return: what a command says.
    """
    return runTool(_command(name, *arguments)).stdout


def freePorts(count: int) -> list[int]:
    """
    @return: as many different ports.
    """
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(freePort())
    return sorted(ports)


@contextlib.contextmanager
def directory(owner: str | None = None) -> Iterator[Path]:
    """
    Have a directory for as long as the C{with} block takes.

    @param owner: whose it is, if the tests are root's.
    """
    with TemporaryDirectory(prefix="txsslstream-") as name:
        path = Path(name)
        path.chmod(0o755)
        _give(path, owner)
        yield path


def _give(path: Path, owner: str | None) -> None:
    if owner is not None and os.geteuid() == 0:
        os.chown(path, pwd.getpwnam(owner).pw_uid, -1)


@contextlib.contextmanager
def _running(command: Sequence[str], readyLine: str) -> Iterator[Background]:
    """
    Run a server, and have it stop what it has started in its turn.
    """
    with background(command, readyLine) as tool:
        try:
            yield tool
        finally:
            tool.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                tool.wait(10)


def _command(name: str, *arguments: object) -> list[str]:
    path = found(name)
    assert path is not None
    return [path, *map(str, arguments)]


# nginx.


@contextlib.contextmanager
def nginx(pems: Mapping[str, Path], extra: str = "") -> Iterator[dict[str, int]]:
    """
    Run nginx.

    @param pems: certificates with their keys, by whatever names.
    @param extra: what else it is told of each.
    @return: a context manager of a port for each.
    """
    ports = dict(zip(pems, freePorts(len(pems)), strict=True))
    with directory() as place:
        servers = [
            f"listen {LOOPBACK}:{ports[name]} ssl http2; "
            f"ssl_certificate {pem}; ssl_certificate_key {pem}; {extra}"
            for name, pem in pems.items()
        ]
        with _nginx(place, *servers):
            yield ports


@contextlib.contextmanager
def plainNginx(large: str) -> Iterator[tuple[int, int]]:
    """
    Run nginx, without TLS.

    @param large: what it serves as C{/large}.
    @return: a context manager of two ports: at the second one it wants to be told
        by the PROXY protocol who the client is.  C{/who} tells that.
    """
    port, proxied = freePorts(2)
    who = 'location = /who { return 200 "$remote_addr $remote_port\\n"; }'
    with directory() as place:
        (place / "large").write_text(large)
        with _nginx(
            place,
            f"listen {LOOPBACK}:{port}; root {place}; {who}",
            f"listen {LOOPBACK}:{proxied} proxy_protocol; "
            f"set_real_ip_from {LOOPBACK}; real_ip_header proxy_protocol; {who}",
        ):
            yield port, proxied


@contextlib.contextmanager
def _nginx(place: Path, *servers: str) -> Iterator[Background]:
    """
    @param servers: what it is told of each server.
    """
    temporary = "".join(
        f"{kind}_temp_path {place / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    blocks = "".join(f"server {{ {each} }}\n" for each in servers)
    settings = place / "nginx.conf"
    settings.write_text(
        f"daemon off;\nmaster_process off;\npid {place / 'pid'};\n"
        "error_log stderr notice;\nevents {}\n"
        f"http {{\naccess_log off;\n{temporary}{blocks}}}\n"
    )
    with _running(_command("nginx", "-e", "stderr", "-c", settings), r"nginx/\d") as tool:
        yield tool


@contextlib.contextmanager
def postfix(pems: Mapping[str, Path]) -> Iterator[dict[str, int]]:
    """
    Run Postfix' SMTP server, as L{nginx}.
    """
    ports = dict(zip(pems, freePorts(len(pems)), strict=True))
    with directory() as place:
        for name in ("conf", "spool", "data"):
            (place / name).mkdir()
        _give(place / "data", "postfix")
        (place / "conf" / "main.cf").write_text(
            f"compatibility_level = 3.6\nqueue_directory = {place / 'spool'}\n"
            f"data_directory = {place / 'data'}\nmaillog_file = /dev/stdout\n"
            f"myhostname = localhost\nmydestination =\ninet_interfaces = {LOOPBACK}\n"
            "inet_protocols = ipv4\nalias_maps =\nsmtpd_tls_security_level = may\n"
        )
        services = "".join(
            f"{LOOPBACK}:{ports[name]} inet n - n - - smtpd "
            f"-o smtpd_tls_cert_file={pem} -o smtpd_tls_key_file={pem}\n"
            for name, pem in pems.items()
        )
        (place / "conf" / "master.cf").write_text(
            f"{services}postlog unix-dgram n - n - 1 postlogd\n"
            "tlsmgr unix - - n 1000? 1 tlsmgr\nanvil unix - - n - 1 anvil\n"
            "rewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n"
        )
        command = _command("postfix", "-c", place / "conf", "start-fg")
        with background(command, "daemon started"):
            try:
                yield ports
            finally:
                # Its master has made itself a session of its own.
                runTool([*command[:-1], "abort"])


# Dovecot.


@contextlib.contextmanager
def dovecot(pems: Mapping[str, Path]) -> Iterator[tuple[dict[str, str], int, int]]:
    """
    Run Dovecot for those who do not log in.

    @return: a context manager of an address for each certificate, and of the
        ports for IMAP and POP3 of all of them.
    """
    addresses = {name: f"127.0.0.{number}" for number, name in enumerate(pems, 2)}
    imap, pop3 = freePorts(2)
    more = "".join(
        f"local {addresses[name]} {{\nssl_cert = <{pem}\nssl_key = <{pem}\n}}\n"
        for name, pem in pems.items()
    )
    with directory() as place:
        ports = {"imap": imap, "pop3": pop3}
        first = next(iter(pems.values()))
        with _dovecot(place, ports, list(addresses.values()), first, more):
            yield addresses, imap, pop3


@contextlib.contextmanager
def dovecotWithMail(place: Path, port: int, pem: Path) -> Iterator[Background]:
    """
    Run Dovecot for IMAP over TLS only, for C{user} with C{password}.

    @param place: where its files are.
    """
    mail = place / "mail"
    mail.mkdir()
    if os.geteuid() == 0:
        # Root may not have mail.
        os.chown(mail, 65534, 65534)
        place.chmod(0o755)
    more = (
        "disable_plaintext_auth = yes\nfirst_valid_uid = 0\n"
        f"mail_location = maildir:{mail}\nuserdb {{\ndriver = static\n"
        f"args = uid={os.getuid() or 65534} gid={os.getgid() or 65534} home={place}\n}}\n"
    )
    with _dovecot(place, {"imap": port}, [LOOPBACK], pem, more, "required") as tool:
        yield tool


@contextlib.contextmanager
def _dovecot(
    place: Path,
    ports: Mapping[str, int],
    addresses: Sequence[str],
    pem: Path,
    more: str,
    ssl: str = "yes",
) -> Iterator[Background]:
    """
    @param ports: by protocol.
    @param more: settings.
    """
    internal = login = getpass.getuser()
    group = grp.getgrgid(os.getgid()).gr_name
    if os.geteuid() == 0:
        # Who talks to strangers must not be root; the package has made others.
        internal, group, login = "dovecot", "dovecot", "dovenull"
    listeners = "".join(
        f"service {name}-login {{\nchroot =\ninet_listener {name} {{\nport = {port}\n}}\n"
        f"inet_listener {name}s {{\nport = 0\n}}\n}}\n"
        for name, port in ports.items()
    )
    protocols = list(ports)
    settings = place / "dovecot.conf"
    settings.write_text(
        f"protocols = {' '.join(protocols)}\nlisten = {', '.join(addresses)}\n"
        f"base_dir = {place / 'run'}\nstate_dir = {place / 'state'}\nlog_path = /dev/stderr\n"
        f"ssl = {ssl}\nssl_cert = <{pem}\nssl_key = <{pem}\n"
        f"default_internal_user = {internal}\ndefault_internal_group = {group}\n"
        f"default_login_user = {login}\nservice anvil {{\nchroot =\n}}\n"
        f"passdb {{\ndriver = static\nargs = password=password\n}}\n{more}{listeners}"
    )
    for name in ("run", "state"):
        (place / name).mkdir()
    ready = f"starting up for {', '.join(protocols)}"
    with _running(_command("dovecot", "-F", "-c", settings), ready) as tool:
        yield tool


# PostgreSQL.


@contextlib.contextmanager
def postgresData() -> Iterator[Path]:
    """
    Make what PostgreSQL needs.

    @return: a context manager of the directory.
    """
    with directory(_NOBODY) as place:
        made = runTool(
            _asNobody("initdb", "-D", place / "data", "--no-sync", "-A", "trust", "-U", "test")
        )
        if made.returncode:
            raise AssertionError(f"initdb: {made.stdout}{made.stderr}")
        yield place


def _asNobody(name: str, *arguments: object) -> list[str]:
    command = _command(name, *arguments)
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={_NOBODY}", "--regid=nogroup", "--clear-groups", *command]


@contextlib.contextmanager
def postgres(place: Path, pem: Path) -> Iterator[int]:
    """
    Run PostgreSQL with TLS.

    @param place: made by L{postgresData}.
    @return: a context manager of the port.
    """
    own = place / "server.pem"
    own.write_bytes(pem.read_bytes())
    own.chmod(0o600)
    _give(own, _NOBODY)
    port = freePort()
    with _postgres(
        place,
        ssl="on",
        ssl_cert_file=own,
        ssl_key_file=own,
        listen_addresses=LOOPBACK,
        port=port,
        unix_socket_directories="",
    ):
        yield port


@contextlib.contextmanager
def plainPostgres() -> Iterator[Path]:
    """
    Run PostgreSQL, at a socket in the file system only.

    @return: a context manager of the path of that.
    """
    with (
        postgresData() as place,
        _postgres(place, listen_addresses="", unix_socket_directories=place),
    ):
        yield place / ".s.PGSQL.5432"


@contextlib.contextmanager
def _postgres(place: Path, **settings: object) -> Iterator[Background]:
    options = [
        each
        for name, value in {**settings, "fsync": "off"}.items()
        for each in ("-c", f"{name}={value}")
    ]
    command = _asNobody("postgres", "-D", place / "data", *options)
    with _running(command, "ready to accept connections") as tool:
        yield tool


# Others.


@contextlib.contextmanager
def slapd(pem: Path, chain: Path) -> Iterator[int]:
    """
    Run OpenLDAP.

    @param chain: the certificates of the issuers.
    @return: a context manager of the port.
    """
    port = freePort()
    with directory() as place:
        settings = place / "slapd.conf"
        settings.write_text(
            f"pidfile {place / 'pid'}\nTLSCertificateFile {pem}\nTLSCertificateKeyFile {pem}\n"
            f"TLSCACertificateFile {chain}\n"
        )
        address = f"ldap://{LOOPBACK}:{port}"
        # The lowest level at which it says that it has begun, and stays.
        with _running(_command("slapd", "-d", "stats", "-f", settings, "-h", address), "starting"):
            yield port


@contextlib.contextmanager
def proftpd(pem: Path, chain: Path) -> Iterator[int]:
    """
    Run ProFTPD, as L{slapd}.
    """
    port = freePort()
    with directory() as place:
        own = place / "server.pem"
        own.write_bytes(pem.read_bytes())
        own.chmod(0o600)
        settings = place / "proftpd.conf"
        settings.write_text(
            f"ServerName test\nServerType standalone\nDefaultAddress {LOOPBACK}\nPort {port}\n"
            "UseIPv6 off\nUser nobody\nGroup nogroup\n"
            f"PidFile {place / 'pid'}\nScoreboardFile {place / 'scoreboard'}\nDelayTable none\n"
            f"LoadModule mod_tls.c\nTLSEngine on\nTLSLog none\nTLSECCertificateFile {own}\n"
            f"TLSECCertificateKeyFile {own}\nTLSCertificateChainFile {chain}\n"
        )
        with _running(_command("proftpd", "-n", "-c", settings), "STARTUP"):
            yield port


@contextlib.contextmanager
def prosody(pem: Path) -> Iterator[int]:
    """
    Run Prosody.

    @return: a context manager of the port for clients.
    """
    port = freePort()
    with directory() as place:
        (place / "certs").mkdir()
        settings = place / "prosody.cfg.lua"
        settings.write_text(
            f'pidfile = "{place / "pid"}"\ndata_path = "{place}"\nrun_as_root = true\n'
            f'interfaces = {{ "{LOOPBACK}" }}\nc2s_ports = {{ {port} }}\n'
            "c2s_direct_tls_ports = {}\ns2s_ports = {}\n"
            'modules_enabled = { "tls", "saslauth" }\nmodules_disabled = { "s2s" }\n'
            'log = { info = "*console" }\nc2s_require_encryption = true\n'
            f'ssl = {{ key = "{pem}"; certificate = "{pem}" }}\nVirtualHost "localhost"\n'
        )
        ready = rf"Activated service 'c2s' on \[{LOOPBACK}\]:{port}"
        with _running(_command("prosody", "-F", "--config", settings), ready):
            yield port
