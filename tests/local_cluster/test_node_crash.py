"""The cluster dies and comes back: pods go on, nothing is started twice, and an orderly stop leaves nothing running."""

import asyncio
import base64
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from tests.support.control_plane import Cluster, ControlPlane, condition, container, eventually, phase, running
from tests.support.laptop import LaptopApi

from fabula_local.client import Api
from fabula_local.kinds import CONFIG_MAP, JOB, NODE, POD, PYTORCH_JOB, SECRET

pytestmark = pytest.mark.slow


def connect(kubeconfig: Path) -> Cluster:
    return Cluster(Api.from_kubeconfig(kubeconfig), "crash")


def indexed(script: str, **more: Any) -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container(script)]}
    return {"completionMode": "Indexed", "completions": 2, "parallelism": 2, "template": {"spec": pod}, **more}


def anyone() -> ssl.SSLContext:
    """A client that takes the node for what it says it is."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def ready(cluster: Cluster, number: int) -> None:
    await cluster.until(JOB, "j", lambda job: (job.get("status") or {}).get("ready") == number)


async def test_pods_outlive_a_killed_cluster(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    plane = ControlPlane(tmp_path / "state")
    plane.start()
    try:
        async with connect(plane.kubeconfig) as cluster:
            script = f"echo start; until test -e {gate}; do sleep 0.1; done; echo end; exit $JOB_COMPLETION_INDEX"
            # By index: a Job that failed as a whole would end index 0 before it succeeds, if 1 is seen first.
            await cluster.create(JOB, "j", indexed(script, backoffLimitPerIndex=0))
            await ready(cluster, 2)
            pods = await cluster.pods()
            before = sorted(running(pods))
            plane.kill()
            assert sorted(set(running(pods)) & set(before)), "the processes run on"
            plane.start()
            assert {pod["metadata"]["uid"] for pod in await cluster.pods()} == {pod["metadata"]["uid"] for pod in pods}
            # One ends while the cluster runs, and how it ended is known though nobody waited for it.
            gate.touch()
            job = await cluster.until(JOB, "j", lambda seen: condition(seen, "Failed"))
            assert (job["status"]["completedIndexes"], job["status"]["failedIndexes"]) == ("0", "1")
            for pod in await cluster.pods():
                assert await cluster.logs(pod["metadata"]["name"]) == "start\nend\n", "started once"
                assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    finally:
        plane.stop()


async def test_what_ended_while_the_cluster_was_down(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    plane = ControlPlane(tmp_path / "state")
    plane.start()
    try:
        async with connect(plane.kubeconfig) as cluster:
            wait = f"until test -e {gate}; do sleep 0.05; done; echo last > $FABULA_TERMINATION_LOG; exit 7"
            spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
            await cluster.create(POD, "ends", {**spec, "containers": [container(wait)]})
            await cluster.create(POD, "killed", {**spec, "containers": [container("sleep 300")]})
            await cluster.create(POD, "deleted", {**spec, "containers": [container("sleep 300")]})
            for name in ("ends", "killed", "deleted"):
                await cluster.until(POD, name, lambda pod: phase(pod) == "Running")
            pods = {pod["metadata"]["name"]: pod for pod in await cluster.pods()}
            plane.kill()
            gate.touch()
            for pid in running([pods["killed"]]):
                os.kill(pid, signal.SIGKILL)

            async def ended() -> bool:
                return not running([pods["ends"], pods["killed"]])

            await eventually(ended, "both to have ended")
            with LaptopApi(plane.state_dir, logs_dir=plane.state_dir / "pods"):
                await cluster.api.delete(POD, "deleted", cluster.namespace, grace_seconds=0)
            assert running([pods["deleted"]]), "nobody has told the process yet"
            plane.start()
            ends = await cluster.until(POD, "ends", lambda pod: phase(pod) == "Failed")
            end = ends["status"]["containerStatuses"][0]["state"]["terminated"]
            assert (end["exitCode"], end["reason"], end["message"]) == (7, "Error", "last\n")
            killed = await cluster.until(POD, "killed", lambda pod: phase(pod) == "Failed")
            end = killed["status"]["containerStatuses"][0]["state"]["terminated"]
            assert (end["exitCode"], end["reason"]) == (137, "ContainerStatusUnknown")
            await cluster.gone(POD, "deleted")

            async def cleared() -> bool:
                return not running([pods["deleted"]])

            await eventually(cleared, "the deleted pod's processes to be ended")
    finally:
        plane.stop()


async def test_an_orderly_stop_leaves_nothing_and_is_no_failure(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    plane = ControlPlane(tmp_path / "state")
    plane.start()
    try:
        async with connect(plane.kubeconfig) as cluster:
            rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
            script = f"setsid sleep 300 & until test -e {gate}; do sleep 0.1; done"
            await cluster.create(JOB, "j", indexed(script, backoffLimit=0, podFailurePolicy={"rules": [rule]}))
            await ready(cluster, 2)
            pods = await cluster.pods()
            plane.stop()
            assert running(pods) == []
            gate.touch()
            plane.start()
            job = await cluster.until(JOB, "j", lambda seen: condition(seen, "Complete"))
            assert job["status"]["succeeded"] == 2
            assert not job["status"].get("failed")
            first = await cluster.api.find(POD, pods[0]["metadata"]["name"], cluster.namespace)
            assert first is not None
            assert condition(first, "DisruptionTarget") == "TerminationByKubelet"
            assert first["status"]["reason"] == "Terminated"
    finally:
        plane.stop()


LISTEN = """
import os, socket, time
port, rank = int(os.environ["MASTER_PORT"]), int(os.environ["RANK"])
if rank == 0:
    server = socket.create_server(("127.0.0.1", port))
    connection, _ = server.accept()
    print("heard", connection.recv(100).decode(), "of", os.environ["WORLD_SIZE"], flush=True)
    time.sleep(0.5)
else:
    while True:
        try:
            peer = socket.create_connection((os.environ["MASTER_ADDR"], port))
            break
        except OSError:
            time.sleep(0.05)
    peer.send(os.environ["JOB"].encode())
"""


async def test_two_training_jobs_at_once(tmp_path: Path) -> None:
    with ControlPlane(tmp_path / "state") as plane:
        async with connect(plane.kubeconfig) as cluster:
            for name in ("one", "two"):
                env = [{"name": "JOB", "value": name}]
                pytorch = {"name": "pytorch", "image": "none", "command": ["python", "-c", LISTEN], "env": env}
                replica = {"restartPolicy": "Never", "template": {"spec": {"containers": [pytorch]}}}
                specs = {"Master": {"replicas": 1, **replica}, "Worker": {"replicas": 1, **replica}}
                await cluster.create(PYTORCH_JOB, name, {"nprocPerNode": "1", "pytorchReplicaSpecs": specs})
            for name in ("one", "two"):
                job = await cluster.until(PYTORCH_JOB, name, lambda seen: condition(seen, "Succeeded"))
                assert condition(job, "Succeeded") == "PyTorchJobSucceeded"
                assert job["status"]["replicaStatuses"]["Master"]["succeeded"] == 1
                assert await cluster.logs(f"{name}-master-0") == f"heard {name} of 2\n"
            await cluster.api.delete(PYTORCH_JOB, "one", cluster.namespace, propagation="Foreground")
            await cluster.gone(PYTORCH_JOB, "one")
            assert {pod["metadata"]["name"] for pod in await cluster.pods()} == {"two-master-0", "two-worker-0"}


async def test_a_bare_api_server_is_served_too(tmp_path: Path) -> None:
    """`fabula node`: an API server without scheduler, controllers and kubelet."""
    with LaptopApi(tmp_path / "server") as server, (tmp_path / "node.log").open("wb") as output:
        command = [sys.executable, "-m", "fabula_local.process_node", "--kubeconfig", str(server.kubeconfig)]
        command += ["--state-dir", str(tmp_path / "node"), "--name", "guest"]
        clients = trustme.CA()
        async with connect(server.kubeconfig) as cluster:
            data = {"client-ca-file": clients.cert_pem.bytes().decode()}
            meta = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
            await cluster.api.create(CONFIG_MAP, {"metadata": meta, "data": data})
        process = await asyncio.create_subprocess_exec(*command, stderr=output, stdout=subprocess.DEVNULL)
        try:
            async with connect(server.kubeconfig) as cluster:
                await cluster.create(JOB, "j", indexed("echo index $JOB_COMPLETION_INDEX"))
                await cluster.until(JOB, "j", lambda seen: condition(seen, "Complete"))
                node = await cluster.api.get(NODE, "guest")
                port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
                context = anyone()
                async with httpx2.AsyncClient(verify=context, trust_env=False) as kubelet:
                    logs = f"https://127.0.0.1:{port}/containerLogs/{cluster.namespace}"
                    name = (await cluster.pods())[0]["metadata"]["name"]
                    for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer"}):
                        assert (await kubelet.get(f"{logs}/{name}/main", headers=wrong)).status_code == 401
                    for group, expected in (("system:masters", 200), ("nobody", 403)):
                        shown = anyone()
                        issued = clients.issue_cert(common_name="u", organization_name=group)
                        issued.configure_cert(shown)
                        async with httpx2.AsyncClient(verify=shown, trust_env=False) as holder:
                            assert (await holder.get(f"{logs}/{name}/main")).status_code == expected
                    held = await cluster.api.get(SECRET, "process-node-guest", "kube-system")
                    token = base64.b64decode(held["data"]["token"]).decode()
                    kubelet.headers["Authorization"] = f"Bearer {token}"
                    for odd in (f"{name[:-1]}*/main", "*/main", f"{name}/*", f"{name}/..%2Fmain", f"{name}/."):
                        assert (await kubelet.get(f"{logs}/{odd}")).status_code == 404, odd
                    assert (await kubelet.get(f"{logs}/{name}/main?tailLines=-1")).status_code == 400
                    for pod in await cluster.pods():
                        name = pod["metadata"]["name"]
                        url = f"https://127.0.0.1:{port}/containerLogs/{cluster.namespace}/{name}/main"
                        answer = await kubelet.get(url, params={"follow": "true", "tailLines": "1"})
                        assert answer.text == f"index {name.split('-')[1]}\n"
                        # kubectl's way: the API server has no such file and asks the node.
                        assert await cluster.logs(name) == f"index {name.split('-')[1]}\n"
        finally:
            process.terminate()
            await process.wait()
    assert process.returncode == 0, (tmp_path / "node.log").read_text()


async def test_a_cluster_that_is_killed_again_and_again(tmp_path: Path) -> None:
    """Whatever was under way: each index ends once, retries keep to their budget, nothing runs twice at a time."""
    plane = ControlPlane(tmp_path / "state")
    plane.start()
    marks = tmp_path / "marks"
    marks.mkdir()
    # Two pods of one index at a time would meet in the folder; index 1 fails once.
    script = f"""
    cd {marks} && mkdir lock-$JOB_COMPLETION_INDEX || {{ touch twice; exit 9; }}
    echo x >> starts-$JOB_COMPLETION_INDEX
    sleep 0.7
    rmdir lock-$JOB_COMPLETION_INDEX
    test $JOB_COMPLETION_INDEX != 1 || test -e failed || {{ touch failed; exit 1; }}
    """
    try:
        async with connect(plane.kubeconfig) as cluster:
            spec = indexed(script, backoffLimitPerIndex=2, completions=8, parallelism=3)
            await cluster.create(JOB, "j", spec)
            for pause in (0.2, 0.5, 0.8, 1.1, 1.4):
                await asyncio.sleep(pause)
                plane.kill()
                plane.start()
            job = await cluster.until(JOB, "j", lambda seen: condition(seen, "Complete") or condition(seen, "Failed"))
            assert condition(job, "Complete"), job["status"]
            assert job["status"]["completedIndexes"] == "0-7"
            assert job["status"]["failed"] == 1
            assert not (marks / "twice").exists()
            starts = [(marks / f"starts-{index}").read_text().count("x") for index in range(8)]
            assert starts == [1, 2, 1, 1, 1, 1, 1, 1]
            assert len(await cluster.pods()) == 9
    finally:
        plane.stop()


async def test_an_api_server_that_comes_and_goes(tmp_path: Path) -> None:
    with LaptopApi(tmp_path / "server") as server, (tmp_path / "node.log").open("wb") as output:
        command = [sys.executable, "-m", "fabula_local.process_node", "--kubeconfig", str(server.kubeconfig)]
        process = await asyncio.create_subprocess_exec(*command, "--state-dir", str(tmp_path / "node"), stderr=output)
        try:
            async with connect(server.kubeconfig) as cluster:
                gate = tmp_path / "gate"
                await cluster.create(JOB, "j", indexed(f"until test -e {gate}; do sleep 0.1; done; echo done"))
                await ready(cluster, 2)
                server.kill()
                gate.touch()
                pods_dir = tmp_path / "node" / "pods"

                async def ended() -> bool:
                    return len(list(pods_dir.glob("*/main/0.note"))) == 2

                await eventually(ended, "both to end while nobody can be told")
                server.start()
                job = await cluster.until(JOB, "j", lambda seen: condition(seen, "Complete"))
                assert job["status"]["succeeded"] == 2
                assert len(await cluster.pods()) == 2
        finally:
            process.terminate()
            await process.wait()
    assert process.returncode == 0, (tmp_path / "node.log").read_text()
