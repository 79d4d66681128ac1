"""What `mixed_load` and `soak` share: the program `receiver`, the server of its store, and deliveries to it."""
import glob, hashlib, hmac, http.client, itertools, os, shutil, signal, socket, sqlite3, subprocess, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SECRET = "whsec_of-the-load"


def receiver(*profiles):
    """The newest build of the program, of these profiles."""
    target = os.environ.get("CARGO_TARGET_DIR", f"{ROOT}/target")
    builds = [path for path in (f"{target}/{profile}/examples/receiver" for profile in profiles) if os.path.exists(path)]
    if not builds:
        raise SystemExit("first build the example `receiver`")
    return max(builds, key=os.path.getmtime)


def event_request(event, secret=SECRET):
    """The path, the body and the headers of an event's delivery."""
    body = b'{"id":"evt_%d","event":"scan.created","data":{}}' % event
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return "/webhooks/3qpr", body, {"X-3QPR-Signature": signature, "Content-Type": "application/json"}


TAKEN = itertools.count()


def free_port():
    """A port that nothing takes before the server does, nor while it is stopped. Linux gives clients ports from 32768 on; of
    those below, each process counts up from a place of its own."""
    while True:
        port = 10000 + (os.getpid() * 64 + next(TAKEN)) % 20000
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def as_postgres(*command):
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", *command] if os.getuid() == 0 else command


class Service:
    """Instances of the receiver and their store, whose files are in `directory`. `instances` has the options of each
    instance, and `settings` those of the store's server."""

    def __init__(self, kind, directory, effects, log, program, instances, settings=()):
        self.kind, self.directory, self.effects, self.log = kind, directory, effects, log
        self.program, self.options, self.settings = program, instances, settings
        self.server, self.server_port = None, free_port()
        self.instances, self.ports = [None for _ in instances], [free_port() for _ in instances]
        self.server_lock, self.watching, self.watcher = threading.Lock(), True, None
        if kind == "postgres":
            self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
            if os.getuid() == 0:
                shutil.chown(directory, "postgres")
            subprocess.run(as_postgres(f"{self.bin}/initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D", f"{directory}/data"),
                           check=True, stdout=subprocess.DEVNULL, cwd="/")

    def address(self):
        return {"memory": "memory", "sqlite": f"sqlite:{self.directory}/webhooks.db",
                "redis": f"redis://127.0.0.1:{self.server_port}",
                "postgres": f"postgres://postgres@127.0.0.1:{self.server_port}/postgres"}[self.kind]

    def start_server(self):
        if self.kind == "postgres":
            command = as_postgres(f"{self.bin}/postgres", "-D", f"{self.directory}/data", "-k", self.directory, "-h", "127.0.0.1",
                                  "-p", str(self.server_port), *self.settings)
        elif self.kind == "redis":
            command = ["redis-server", "--port", str(self.server_port), "--dir", self.directory, "--appendonly", "yes",
                       "--appendfsync", "always", "--save", "", *self.settings]
        else:
            return
        self.server = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd="/")

    def stop_server(self, signal):
        if self.server and self.server.poll() is None:
            self.server.send_signal(signal)
            self.server.wait()

    def crash_server(self):
        # PostgreSQL is told by SIGQUIT to stop at once, without a checkpoint.
        self.stop_server(signal.SIGQUIT if self.kind == "postgres" else signal.SIGKILL)

    def start_instance(self, n):
        names = ["QUOTE3D", "NOWTOPRINT", "THREEQPR"]
        environment = dict(os.environ, **{f"{name}_WEBHOOK_SECRET": SECRET for name in names})
        command = [self.program, "--listen", f"127.0.0.1:{self.ports[n]}", "--store", self.address(), "--effects", self.effects,
                   *self.options[n]]
        self.instances[n] = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=environment)

    def start(self):
        """Starts all, and starts again what has ended, as a supervisor does."""
        self.start_server()

        def watch():
            while self.watching:
                with self.server_lock:
                    if self.server and self.server.poll() is not None:
                        self.start_server()
                for n, instance in enumerate(self.instances):
                    if instance is None or instance.poll() is not None:
                        self.start_instance(n)
                time.sleep(0.2)

        self.watcher = threading.Thread(target=watch)
        self.watcher.start()
        self.wait_until_ready()

    def wait_until_ready(self):
        """Until each instance answers; it first connects to its store."""
        end = time.time() + 60
        for port in self.ports:
            while True:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                try:
                    connection.request("GET", "/healthz")
                    connection.getresponse()
                    break
                except (OSError, http.client.HTTPException):
                    if time.time() > end:
                        raise
                    time.sleep(0.1)
                finally:
                    connection.close()

    def found(self):
        """How many effects each event has."""
        if self.kind == "sqlite":
            rows = sqlite3.connect(f"{self.directory}/webhooks.db").execute("SELECT idempotency_key FROM webhook_effects")
            keys = [key for (key,) in rows]
        elif self.kind == "postgres":
            keys = self.query("SELECT idempotency_key FROM webhook_effects").split()
        else:
            with open(self.effects) as lines:
                keys = [line.split("\t")[0] for line in lines]
        found = {}
        for key in keys:
            event = int(key.rsplit("evt_", 1)[1])
            found[event] = found.get(event, 0) + 1
        return found

    def query(self, statement):
        command = ["psql", "-qAtX", self.address(), "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def stop(self):
        self.watching = False
        if self.watcher:
            self.watcher.join()
        for instance in self.instances:
            if instance:
                instance.kill()
                instance.wait()
        self.crash_server()
