"""Checks what is in this folder: the chart is rendered by Helm's own engine and validated against
Kubernetes' schemas, the unit is read by systemd, the Dockerfile by hadolint, the configuration by
the server; and Cargo.lock is held to advisories.toml. `cargo xtask test --only deploy` runs it."""

import itertools
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

import helm_python
import kubernetes_validate
import yaml

DEPLOY = pathlib.Path(__file__).parent
CHART = DEPLOY / "helm" / "sfu"
KUBERNETES = "1.33"

# What an operator may want, in all combinations.
CHOICES = {
    "defaults": [{}],
    "network": [{"hostNetwork": True}, {"hostNetwork": False, "advertise": ["203.0.113.7"]}],
    "tcp": [{}, {"ports": {"mediaTcp": 0}}],
    "secret": [{"existingSecret": ""}, {"existingSecret": "keys"}],
    "monitor": [{"serviceMonitor": {"enabled": True}}, {"podDisruptionBudget": {"enabled": False}}],
}

checked = 0


def check(holds, what):
    global checked
    checked += 1
    if not holds:
        sys.exit(f"deploy: {what}")


def manifests(values):
    rendered = helm_python.Chart.load(CHART).render(values, name="r", namespace="n")
    texts = (text for name, text in rendered.items() if name.endswith(".yaml"))
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def check_chart():
    report = helm_python.lint(CHART, strict=True)
    check(not report["errors"], f"helm lint: {report}")
    for values in itertools.product(*CHOICES.values()):
        values = {key: value for one in values for key, value in one.items()}
        made = manifests(values)
        for one in made:
            # The monitor is a type of its own, which no schema of Kubernetes has.
            if one["kind"] != "ServiceMonitor":
                kubernetes_validate.validate(one, KUBERNETES, strict=True)
            check(one["metadata"]["name"] == "r-sfu", f"a name: {one['metadata']}")
        kinds = sorted(one["kind"] for one in made)
        wanted = {"ConfigMap", "Deployment", "Service"}
        if values.get("serviceMonitor"):
            wanted.add("ServiceMonitor")
        if not values.get("podDisruptionBudget"):
            wanted.add("PodDisruptionBudget")
        check(kinds == sorted(wanted), f"{values} makes {kinds}")
        check_pod(next(one for one in made if one["kind"] == "Deployment"), values)


def check_pod(deployment, values):
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    drain = int(environment["SFU_DRAIN_TIMEOUT"])
    check(pod["terminationGracePeriodSeconds"] > drain, "the pod ends before it has drained")
    check(container["securityContext"]["readOnlyRootFilesystem"], "the root can be written")
    check(pod["securityContext"]["runAsNonRoot"], "it runs as root")
    check(pod.get("hostNetwork", False) == values["hostNetwork"], "another network")
    ports = {one["name"]: one for one in container["ports"]}
    tcp = values.get("ports", {}).get("mediaTcp", 7882)
    check(("media-tcp" in ports) == bool(tcp), "another TCP port")
    check(environment.get("SFU_TCP_PORT", "0") == str(tcp), "a TCP port that nobody listens at")
    check((environment.get("SFU__MEDIA__TCP") == "false") == (not tcp), "TCP against the wish")
    on_host = [one for one in ports.values() if one["name"] != "http" and "hostPort" in one]
    wanted = 0 if values["hostNetwork"] else 1 + bool(tcp)
    check(len(on_host) == wanted, "media ports that no client reaches")
    check(("SFU_ADVERTISE" in environment) == bool(values.get("advertise")), "another address")
    mounts = [one["name"] for one in container["volumeMounts"]]
    check(("secrets" in mounts) == bool(values["existingSecret"]), "another secret")
    check(container["readinessProbe"]["httpGet"]["path"] == "/readyz", "another probe")


def check_unit():
    if not shutil.which("systemd-analyze"):
        sys.exit("deploy: systemd-analyze is missing")
    unit = (DEPLOY / "sfu.service").read_text()
    with tempfile.TemporaryDirectory() as folder:
        # The binary need not be installed for its unit to be read.
        copy = pathlib.Path(folder) / "sfu.service"
        copy.write_text(unit.replace("/usr/local/bin/sfu", "/bin/true"))
        run = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
        check(run.returncode == 0 and "sfu.service" not in run.stderr, f"the unit: {run.stderr}")


def check_dockerfile():
    hadolint = pathlib.Path(sys.executable).with_name("hadolint")
    run = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True)
    check(run.returncode == 0, f"hadolint: {run.stdout}{run.stderr}")


def check_configuration(server):
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    (service,) = compose["services"].values()
    check(service["read_only"] and service["cap_drop"] == ["ALL"], "compose is not locked down")
    chart = yaml.safe_load((CHART / "values.yaml").read_text())["config"]
    with tempfile.TemporaryDirectory() as folder:
        of_chart = pathlib.Path(folder) / "chart.toml"
        of_chart.write_text(chart)
        for file in [DEPLOY / "sfu.toml", of_chart]:
            run = subprocess.run([server, "config", "check", "--config", file])
            check(run.returncode == 0, f"{file} is no configuration")
            opened = tomllib.loads(file.read_text())["auth"]["open"]
            check(not opened, f"{file} lets anybody in")


def numbers(version):
    return tuple(int(part) for part in version.split("+")[0].split("-")[0].split("."))


def check_dependencies(packages):
    known = tomllib.loads((DEPLOY / "advisories.toml").read_text())
    for package in packages:
        name, version = package["name"], package["version"]
        check(name not in known["never"], f"{name} {version}: {known['never'].get(name)}")
        least = known["at_least"].get(name)
        if least:
            enough = numbers(version) >= numbers(least["version"])
            check(enough, f"{name} {version} is older than {least['version']}: {least['why']}")


def check_lock():
    packages = tomllib.loads((DEPLOY.parent / "Cargo.lock").read_text())["package"]
    check_dependencies(packages)
    # What is to be found is found.
    for wrong in [{"name": "rsa", "version": "1.0.0"}, {"name": "h2", "version": "0.4.9+x"}]:
        try:
            check_dependencies([wrong])
        except SystemExit:
            continue
        sys.exit(f"deploy: {wrong} passes")


if __name__ == "__main__":
    check_lock()
    check_chart()
    check_unit()
    check_dockerfile()
    check_configuration(sys.argv[1])
    print(f"{checked} passed, 0 failed")
