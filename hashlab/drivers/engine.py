"""A Docker Engine through docker-py: the laptop's own, or a machine's over an SSH channel."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

import docker
import requests
from docker.auth import AuthConfig
from docker.credentials.errors import StoreError
from docker.errors import APIError, DockerException, ImageNotFound, InvalidConfigFile, NotFound
from docker.utils import kwargs_from_env
from docker.utils.config import find_config_file

from hashlab.config.model import Network
from hashlab.drivers.answers import limit_answers, limited
from hashlab.drivers.buildcontext import packed
from hashlab.drivers.channel import ChannelAdapter
from hashlab.drivers.environment import (
    DEFAULT_HOST,
    EngineAddress,
    engine_address,
    tool_environment,
)
from hashlab.drivers.shapes import checked
from hashlab.drivers.stages import REPOSITORY, StageNames, Stages
from hashlab.errors import EngineHangs, LabError, LaptopError
from hashlab.hashing import digest, short
from hashlab.inputs.contexts import BuildContext
from hashlab.pipeline import CancelToken, Track, parallel
from hashlab.protocols import (
    STOP_SECONDS,
    BuildSettings,
    Completed,
    ContainerState,
    Layer,
    NetworkPlace,
    NetworkState,
    SwarmState,
)

CALL_SECONDS = 60
# Seconds for the first request to a machine's engine, which a healthy one answers within
# milliseconds.
FIRST_ANSWER_SECONDS = 15
# The API version of the first request, which asks for the engine's version. Every engine supports
# it.
FIRST_VERSION = "1.41"
CHUNK = 1 << 20


class DockerEngine:
    """protocols.Engine. ``where`` names the engine in messages; ``time_factor``: how much longer
    than on the laptop an answer may take.
    """

    def __init__(self, where: str, client: docker.APIClient, *, time_factor: float = 1.0) -> None:
        self._where = where
        self._time_factor = time_factor
        self._client = checked(client)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn errors of docker-py and of the connection into one LabError that says what
        failed.
        """
        try:
            yield
        except APIError as error:
            raise LabError(f"{what}: {error.explanation or error}", where=self._where) from error
        except StoreError as error:
            raise LabError(
                f"{what}: Docker's credential helper failed: {error}",
                where=self._where,
                next_step="docker login, or correct credsStore in ~/.docker/config.json",
            ) from error
        except (DockerException, requests.RequestException, OSError, EOFError) as error:
            text = str(error) or type(error).__name__
            raise LabError(f"{what}: {text}", where=self._where) from error

    def answers(self, seconds: float) -> bool:
        """See protocols.Engine. docker-py's own ping has no time limit."""
        url, timeout = f"{self._client.base_url}/_ping", seconds * self._time_factor
        try:
            return bool(self._client.get(url, timeout=timeout).ok)
        except (requests.RequestException, OSError, EOFError):
            return False

    def info(self) -> Mapping[str, Any]:
        """See protocols.Engine."""
        with self._explained("Docker Engine does not answer"):
            return dict(self._client.info())

    def containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """See protocols.Engine."""
        with self._explained("cannot list containers"):
            listed = self._client.containers(all=True, filters={"label": _label_list(labels)})
        # In parallel: on a slow connection each request takes as long as all of them together.
        ids = [str(entry["Id"]) for entry in listed]
        states = parallel(ids, self.container, CancelToken())
        return [state for state in states if state is not None]

    def container(self, name: str) -> ContainerState | None:
        """See protocols.Engine."""
        inspected = self.inspect(name)
        return None if inspected is None else _container_state(inspected)

    def inspect(self, name: str) -> Mapping[str, Any] | None:
        """Return the engine's whole description of a container, or None if it does not exist."""
        with self._explained(f"cannot inspect container {name}"):
            try:
                return dict(self._client.inspect_container(name))
            except NotFound:
                return None

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        """See protocols.Engine."""
        with self._explained(f"cannot create container {name}"):
            return str(self._client.create_container_from_config(dict(config), name)["Id"])

    def start(self, container: str) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot start container {container}"):
            self._client.start(container)

    def stop(self, container: str, *, timeout: int) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot stop container {container}"):
            self._client.stop(container, timeout=timeout)

    def pause(self, container: str) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot pause container {container}"):
            self._client.pause(container)

    def unpause(self, container: str) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot wake container {container}"):
            if self._client.inspect_container(container)["State"].get("Paused"):
                self._client.unpause(container)

    def commit(self, container: str, name: str, labels: Mapping[str, str]) -> str:
        """See protocols.Engine."""
        repository, _, tag = name.rpartition(":")
        changes = [f"LABEL {json.dumps(key)}={json.dumps(labels[key])}" for key in labels]
        with self._explained(f"cannot make an image of container {container}"):
            made = self._client.commit(container, repository, tag, changes=changes)
        return str(made["Id"])

    def connect(self, network: str, container: str, endpoint: Mapping[str, Any]) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot attach container {container} to network {network}"):
            self._client.connect_container_to_network(
                container,
                network,
                aliases=endpoint.get("Aliases"),
                links=dict(link.split(":", 1) for link in endpoint.get("Links", ())) or None,
                ipv4_address=endpoint.get("IPAMConfig", {}).get("IPv4Address"),
                mac_address=endpoint.get("MacAddress"),
            )

    def disconnect(self, network: str, container: str) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot detach container {container} from network {network}"):
            self._client.disconnect_container_from_network(container, network, force=True)

    def remove(self, container: str) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot remove container {container}"):
            try:
                self._client.remove_container(container, v=True, force=True)
            except NotFound:
                return

    def execute(
        self,
        container: str,
        command: Sequence[str],
        *,
        user: str = "",
        privileged: bool = False,
        folder: str = "",
        environment: Mapping[str, str] = {},
    ) -> Completed:
        """See protocols.Engine."""
        with self._explained(f"cannot run {command[0]} in container {container}"):
            call = self._client.exec_create(
                container,
                list(command),
                user=user,
                privileged=privileged,
                workdir=folder or None,
                environment=dict(environment) or None,
            )
            stdout, stderr = limited(self._client.exec_start(call["Id"], stream=True, demux=True))
            code = self._client.exec_inspect(call["Id"])["ExitCode"]
        return Completed(int(code), _text(stdout), _text(stderr))

    def put(self, container: str, archive: bytes) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot copy files into container {container}"):
            self._client.put_archive(container, "/", archive)

    def read_file(self, container: str, path: str) -> bytes:
        """See protocols.Engine."""
        what = f"cannot read {path} of container {container}"
        with self._explained(what):
            chunks, _ = self._client.get_archive(container, path)
            data = io.BytesIO(b"".join(chunks))
        with tarfile.open(fileobj=data) as archive:
            member = archive.next()
            stream = archive.extractfile(member) if member and member.isreg() else None
            if stream is None:
                raise LabError(f"{what}: it is not a file")
            return stream.read()

    def logs(self, container: str, *, lines: int = 20) -> str:
        """See protocols.Engine."""
        with self._explained(f"cannot read the log of container {container}"):
            return _text(self._client.logs(container, tail=lines))

    def _inspected(self, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return the engine's descriptions of the images that exist, by name."""
        images: dict[str, Mapping[str, Any]] = {}
        with self._explained("cannot inspect images"):
            for name in names:
                with suppress(ImageNotFound):
                    images[name] = self._client.inspect_image(name)
        return images

    def image_labels(self, names: Sequence[str]) -> dict[str, Mapping[str, str]]:
        """See protocols.Engine."""
        return {
            name: dict((image.get("Config") or {}).get("Labels") or {})
            for name, image in self._inspected(names).items()
        }

    def image_ids(self, names: Sequence[str]) -> dict[str, str]:
        """See protocols.Engine."""
        return {name: str(image["Id"]) for name, image in self._inspected(names).items()}

    def image_contents(self, names: Sequence[str]) -> dict[str, str]:
        """See protocols.Engine."""
        return {
            name: short(digest([image.get("Created"), image["RootFS"].get("Layers")]))
            for name, image in self._inspected(names).items()
        }

    def image_sizes(self, names: Sequence[str]) -> dict[str, int]:
        """See protocols.Engine."""
        return {name: int(image["Size"]) for name, image in self._inspected(names).items()}

    def health_checked(self, names: Sequence[str]) -> list[str]:
        """See protocols.Engine."""
        return [
            name
            for name, image in self._inspected(names).items()
            if _has_check(image.get("Config") or {})
        ]

    def images_with(self, labels: Mapping[str, str]) -> list[str]:
        """See protocols.Engine."""
        with self._explained("cannot list images"):
            images = self._client.images(filters={"label": _label_list(labels)})
        return sorted(name for image in images for name in _image_names(image))

    def build_image(
        self,
        name: str,
        *,
        context: BuildContext,
        settings: BuildSettings,
        labels: Mapping[str, str],
        owner: str,
        track: Track,
    ) -> None:
        """See protocols.Engine."""
        failure = f"cannot build image {name}"
        with packed(context) as (archive, dockerfile), self._explained(failure):
            names, stages = StageNames(self._client, owner, name), Stages()
            before = names.present()
            stream = self._client.build(
                fileobj=archive,
                custom_context=True,
                dockerfile=dockerfile,
                tag=name,
                buildargs=dict(settings.args),
                target=settings.target,
                network_mode=settings.network or None,
                shmsize=settings.shm_size or None,
                extra_hosts=list(settings.extra_hosts) or None,
                labels=dict(labels),
                rm=True,
                forcerm=True,
                nocache=settings.fresh,
                decode=True,
            )
            try:
                _follow_build(name, stream, track, stages)
            except BaseException:
                with suppress(DockerException, requests.RequestException, OSError):
                    names.give(stages.ids, failed=True)
                raise
            names.discard(before, names.give(stages.ids[:-1]))

    def pull(self, name: str, *, track: Track) -> None:
        """See protocols.Engine."""
        repository, at, digest = name.partition("@")
        if at:
            tag = digest
        else:
            repository, _, tag = name.rpartition(":")
        if not repository or "/" in tag:
            repository, tag = name, "latest"
        with self._explained(f"cannot pull image {name}"):
            for event in self._client.pull(repository, tag=tag, stream=True, decode=True):
                track.cancel.check()
                if "error" in event:
                    raise LabError(f"cannot pull image {name}: {event['error']}")
                if event.get("status"):
                    track.output(str(event["status"]))

    def import_image(self, name: str, root_filesystem: IO[bytes]) -> None:
        """See protocols.Engine."""
        repository, _, tag = name.rpartition(":")
        with self._explained(f"cannot import image {name}"):
            # In chunks, because docker-py announces a chunked body for an open file but sends it in
            # one piece.
            chunks = iter(lambda: root_filesystem.read(CHUNK), b"")
            self._client.import_image_from_stream(chunks, repository=repository, tag=tag)

    def held(self) -> Mapping[str, int]:
        """See protocols.Engine. A layer that several images share counts once."""
        layers: dict[tuple[object, ...], int] = {}
        sizes = {"images": 0, "volumes": 0, "snapshots": 0}
        with self._explained("cannot read the disk usage"):
            usage = self._client.df()
            for image in usage.get("Images") or []:
                kind = _kind_held(image, "images")
                if kind == "snapshots":
                    sizes[kind] += max(0, image["Size"] - max(0, image.get("SharedSize") or 0))
                elif kind:
                    for layer in self._client.history(image["Id"]):
                        made = (layer["Created"], layer["CreatedBy"], layer["Size"])
                        layers[made] = int(layer["Size"])
        for volume in usage.get("Volumes") or []:
            kind = _kind_held(volume, "volumes")
            if kind:
                sizes[kind] += max(0, (volume.get("UsageData") or {}).get("Size") or 0)
        return {**sizes, "images": sum(layers.values())}

    def stages(self, owner: str = "*") -> list[str]:
        """See protocols.Engine."""
        with self._explained("cannot list images"):
            images = self._client.images(filters={"reference": f"{REPOSITORY}/{owner}"})
        return sorted(name for image in images for name in image.get("RepoTags") or [])

    def save_images(self, names: Sequence[str]) -> Iterator[bytes]:
        """See protocols.Engine. docker-py saves only one image per call, which would repeat the
        layers that images share.
        """
        with self._explained("cannot save images"):
            answer = self._client.get(
                f"{self._client.base_url}/v{self._client.api_version}/images/get",
                # For a bare name the engine would save the images of all its tags.
                params={"names": [with_tag(name) for name in names]},
                stream=True,
                timeout=CALL_SECONDS,
            )
            answer.raise_for_status()
            yield from answer.iter_content(CHUNK)

    def load_images(self, stream: Iterator[bytes]) -> None:
        """See protocols.Engine."""
        with self._explained("cannot load images"):
            for event in self._client.load_image(stream):
                if "error" in event:
                    raise LabError(f"cannot load images: {event['error']}", where=self._where)

    def layers(self) -> set[Layer]:
        """See protocols.Engine."""
        with self._explained("cannot inspect images"):
            images = [image["Id"] for image in self._client.images(all=True)]
        lists = [image["RootFS"]["Layers"] for image in self._inspected(images).values()]
        return {tuple(ids[:count]) for ids in lists for count in range(1, len(ids) + 1)}

    def pulled_layers(self, built: str) -> set[str]:
        """See protocols.Engine. An image store of containerd gives each image a digest."""
        with self._explained("cannot inspect images"):
            images = [image["Id"] for image in self._client.images(all=True)]
        pulled = [
            image
            for image in self._inspected(images).values()
            if image.get("RepoDigests")
            and built not in ((image.get("Config") or {}).get("Labels") or {})
        ]
        return {layer for image in pulled for layer in image["RootFS"]["Layers"]}

    def wait(self, container: str, *, timeout: int) -> int:
        """See protocols.Engine."""
        with self._explained(f"container {container} did not end"):
            return int(self._client.wait(container, timeout=timeout)["StatusCode"])

    def remove_image(self, name: str, *, force: bool = False) -> bool:
        """See protocols.Engine."""
        with self._explained(f"cannot remove image {name}"):
            try:
                self._client.remove_image(name, force=force)
            except ImageNotFound:
                return False
        return True

    def prune_images(self, labels: Mapping[str, str]) -> None:
        """See protocols.Engine."""
        with self._explained("cannot remove images that nothing uses"):
            self._client.prune_images(filters={"dangling": True, "label": _label_list(labels)})

    def volumes(self, labels: Mapping[str, str]) -> list[str]:
        """See protocols.Engine."""
        with self._explained("cannot list volumes"):
            answer = self._client.volumes(filters={"label": _label_list(labels)})
        return sorted(volume["Name"] for volume in answer.get("Volumes") or [])

    def has_volume(self, name: str) -> bool:
        """See protocols.Engine."""
        with self._explained(f"cannot inspect volume {name}"):
            try:
                self._client.inspect_volume(name)
            except NotFound:
                return False
        return True

    def volume_options(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """See protocols.Engine."""
        found: dict[str, dict[str, str]] = {}
        for name in names:
            with self._explained(f"cannot inspect volume {name}"), suppress(NotFound):
                found[name] = dict(self._client.inspect_volume(name).get("Options") or {})
        return found

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot create volume {name}"):
            self._client.create_volume(name, labels=dict(labels))

    def remove_volume(self, name: str) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot remove volume {name}"):
            try:
                self._client.remove_volume(name, force=True)
            except NotFound:
                return

    def networks(self) -> Mapping[str, tuple[str, ...]]:
        """See protocols.Engine."""
        with self._explained("cannot list networks"):
            networks = self._client.networks()
        return {
            network["Name"]: tuple(
                entry["Subnet"]
                for entry in ((network.get("IPAM") or {}).get("Config") or [])
                if entry.get("Subnet")
            )
            for network in networks
        }

    def network(self, name: str) -> NetworkState | None:
        """See protocols.Engine."""
        with self._explained("cannot list networks"):
            networks = self._client.networks(names=[name])
        return next((_network_state(found) for found in networks if found["Name"] == name), None)

    def create_bridge(self, name: str, subnet: str, labels: Mapping[str, str]) -> None:
        """See protocols.Engine."""
        pool = docker.types.IPAMPool(subnet=subnet)
        with self._explained(f"cannot create network {name}"):
            self._client.create_network(
                name,
                driver="bridge",
                ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                labels=dict(labels),
                check_duplicate=True,
            )

    def networks_with(self, labels: Mapping[str, str]) -> dict[str, NetworkState]:
        """See protocols.Engine."""
        with self._explained("cannot list networks"):
            networks = self._client.networks(filters={"label": _label_list(labels)})
        return {network["Name"]: _network_state(network) for network in networks}

    def create_overlay(self, network: Network, labels: Mapping[str, str]) -> str:
        """See protocols.Engine."""
        pools = [
            docker.types.IPAMPool(
                subnet=pool.subnet, gateway=pool.gateway or None, iprange=pool.ip_range or None
            )
            for pool in network.overlay_pools
        ]
        with self._explained(f"cannot create network {network.name}"):
            made = self._client.create_network(
                network.name,
                driver="overlay",
                attachable=True,
                internal=network.internal,
                options=network.options,
                ipam=docker.types.IPAMConfig(pool_configs=pools) if pools else None,
                labels={**dict(network.labels), **labels},
                check_duplicate=True,
            )
        return str(made["Id"])

    def remove_network(self, name: str) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot remove network {name}"):
            try:
                self._client.remove_network(name)
            except NotFound:
                return

    def swarm(self) -> SwarmState:
        """See protocols.Engine."""
        swarm = self.info().get("Swarm") or {}
        managers = tuple(entry["NodeID"] for entry in swarm.get("RemoteManagers") or [])
        return SwarmState(
            active=swarm.get("LocalNodeState") == "active",
            manager=bool(swarm.get("ControlAvailable")),
            node=str(swarm.get("NodeID") or ""),
            address=str(swarm.get("NodeAddr") or ""),
            managers=managers,
            joined=swarm.get("LocalNodeState") not in (None, "", "inactive"),
        )

    def swarm_init(self, address: str) -> None:
        """See protocols.Engine."""
        with self._explained("cannot start the Swarm"):
            self._client.init_swarm(advertise_addr=address, listen_addr=f"{address}:2377")

    def swarm_join(self, address: str, *, manager: str, token: str) -> None:
        """See protocols.Engine."""
        with self._explained(f"cannot join the Swarm of {manager}"):
            self._client.join_swarm(
                remote_addrs=[manager],
                join_token=token,
                advertise_addr=address,
                listen_addr=f"{address}:2377",
            )

    def swarm_leave(self) -> None:
        """See protocols.Engine."""
        with self._explained("cannot leave the Swarm"):
            self._client.leave_swarm(force=True)

    def swarm_token(self) -> str:
        """See protocols.Engine."""
        with self._explained("cannot read the Swarm's join token"):
            return str(self._client.inspect_swarm()["JoinTokens"]["Worker"])

    def swarm_ready(self, node: str) -> bool:
        """See protocols.Engine."""
        with self._explained(f"cannot inspect node {node} of the Swarm"):
            try:
                return bool(self._client.inspect_node(node)["Status"]["State"] == "ready")
            except NotFound:
                return False

    def close(self) -> None:
        """See protocols.Engine."""
        self._client.close()


def local_engine(environ: Mapping[str, str]) -> DockerEngine:
    """Return the laptop's engine: the one that Docker's own client would use, if it is on this
    laptop.

    Raises LaptopError that names the engine and the next step.
    """
    address = engine_address(environ)
    if address.problem:
        raise LaptopError(
            address.problem,
            where=address.source,
            next_step="docker context use default; or unset DOCKER_HOST and DOCKER_CONTEXT",
        )
    try:
        settings = kwargs_from_env(environment=tool_environment(environ))
        first = checked(_local_client(settings, FIRST_VERSION))
        version = first.version(api_version=False)["ApiVersion"]
        return DockerEngine("laptop", _local_client(settings, version))
    except (DockerException, requests.RequestException, OSError) as error:
        raise _unanswered(address, error) from error


def _local_client(settings: Mapping[str, Any], version: str) -> docker.APIClient:
    """Return a client that works despite proxies and missing credential helpers."""
    try:
        client = docker.APIClient(version=version, timeout=CALL_SECONDS, **settings)
        _without_missing_helpers(client)
    except (InvalidConfigFile, AttributeError, TypeError, KeyError, ValueError) as error:
        # docker-py reads the settings of Docker's client without checking them.
        raise LaptopError(
            f"the settings of Docker's client cannot be read: {error}",
            where=str(find_config_file() or ""),
            next_step="correct its auths, credsStore and credHelpers, or move it away",
        ) from error
    _prepare(client)
    return client


class _Settled(AuthConfig):
    """Credentials that docker-py does not read again if they are empty."""

    is_empty = False


def _without_missing_helpers(client: docker.APIClient) -> None:
    """Drop credential helpers that are not installed. Docker Desktop leaves one behind.

    Images that need no password can be pulled without them. Raises the errors that invalid settings
    cause.
    """
    # docker-py has no public names for them.
    known, settings = _Settled(vars(client)["_auth_configs"]), vars(client)["_general_configs"]
    vars(client)["_auth_configs"] = known
    dict(settings.get("HttpHeaders") or {})

    def is_installed(name: object) -> bool:
        return shutil.which(f"docker-credential-{name}") is not None

    helpers = known.get("credHelpers") or {}
    known["credHelpers"] = {at: name for at, name in helpers.items() if is_installed(name)}
    if known.get("credsStore") and not is_installed(known["credsStore"]):
        known["credsStore"] = None


def _unanswered(address: EngineAddress, error: Exception) -> LaptopError:
    """Return the error for an engine that gave no answer."""
    if "PermissionError" in repr(error):
        return LaptopError(
            f"this user may not use the Docker Engine at {address.host}",
            where=address.source,
            next_step="sudo usermod -aG docker USER, then log out and in again (or: newgrp docker)",
        )
    start = "start Docker (scripts/quickstart-dev-mode.sh does), then hashlab doctor"
    if address.source == "DOCKER_HOST":
        start = "start it, or: unset DOCKER_HOST"
    elif address.host != DEFAULT_HOST:
        start = "start it, or: docker context use default"
    return LaptopError(
        f"the Docker Engine at {address.host} does not answer",
        where=address.source,
        output=str(error),
        next_step=start,
    )


def channel_engine(
    where: str, connect: Callable[[], Any], *, time_factor: float = 1.0
) -> DockerEngine:
    """Return the engine behind channels that ``connect`` opens (socket-like, one per HTTP
    connection).

    ``time_factor``: how much longer than on the laptop a call may take. Raises LabError;
    EngineHangs if the engine accepts the first request and does not answer it.
    """
    adapter = ChannelAdapter(connect, CALL_SECONDS * time_factor)

    def client(version: str, seconds: float = CALL_SECONDS) -> docker.APIClient:
        made = docker.APIClient(
            base_url="tcp://machine:2375", version=version, timeout=round(seconds * time_factor)
        )
        # Only a name, but docker-py recognises by it that a stream's socket is an SSH channel.
        made.base_url = "http+docker://ssh"
        made.mount(made.base_url, adapter)
        _prepare(made)
        return made

    try:
        # A client needs the version, and the version is requested by a client.
        first = checked(client(FIRST_VERSION, FIRST_ANSWER_SECONDS))
        version = first.version(api_version=False)["ApiVersion"]
        return DockerEngine(where, client(version), time_factor=time_factor)
    except requests.Timeout as error:
        raise EngineHangs(
            "the machine's Docker Engine hangs: "
            f"no answer within {FIRST_ANSWER_SECONDS * time_factor:.0f} s",
            where=where,
            next_step=f"hashlab ssh {where} --command 'systemctl status docker'; "
            "then hashlab dev, which restarts the engine",
        ) from error
    except (DockerException, requests.RequestException, OSError, EOFError) as error:
        what = f"the machine's Docker Engine does not answer: {error or type(error).__name__}"
        raise LabError(what, where=where) from error


def _prepare(client: docker.APIClient) -> None:
    """Limit the size of the engine's answers, and ignore proxies.

    No proxy leads to an engine's socket, and Requests would search the whole environment for one at
    each call, which takes longer than the rest of the call.
    """
    client.trust_env = False
    limit_answers(client)


def _has_check(config: Mapping[str, Any]) -> bool:
    """True if an image or a container has a health check."""
    test = (config.get("Healthcheck") or {}).get("Test") or []
    return test[:1] not in ([], ["NONE"])


def _container_state(inspected: Mapping[str, Any]) -> ContainerState:
    state, config = inspected["State"], inspected["Config"]
    networks = inspected["NetworkSettings"].get("Networks") or {}
    grace = config.get("StopTimeout")
    return ContainerState(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status") or "",
        exit_code=int(state.get("ExitCode") or 0),
        image=config["Image"],
        labels=dict(config.get("Labels") or {}),
        pid=int(state.get("Pid") or 0),
        started_at=state.get("StartedAt") or "",
        finished_at=state.get("FinishedAt") or "",
        networks={
            name: NetworkPlace(
                network["NetworkID"],
                network.get("IPAddress") or "",
                frozenset(network.get("Aliases") or ()),
            )
            for name, network in networks.items()
        },
        network_mode=(inspected.get("HostConfig") or {}).get("NetworkMode") or "",
        shares=_shares(inspected.get("HostConfig") or {}),
        checked=_has_check(config),
        grace=STOP_SECONDS if grace is None else int(grace),
        restarts=int(inspected.get("RestartCount") or 0),
    )


def _network_state(network: Mapping[str, Any]) -> NetworkState:
    return NetworkState(
        id=network["Id"],
        name=network["Name"],
        driver=network.get("Driver") or "",
        attachable=bool(network.get("Attachable")),
        labels=dict(network.get("Labels") or {}),
    )


def _shares(config: Mapping[str, Any]) -> frozenset[str]:
    """Return the ids of the containers whose IPC, processes or volumes a container shares."""
    modes = (str(config.get(key) or "").partition(":") for key in ("IpcMode", "PidMode"))
    namespaces = [id_ for kind, _, id_ in modes if kind == "container"]
    volumes = [source.partition(":")[0] for source in config.get("VolumesFrom") or ()]
    return frozenset((*namespaces, *volumes))


def _follow_build(
    name: str, stream: Iterator[Mapping[str, Any]], track: Track, stages: Stages
) -> None:
    """Read a build's events: ``Step 3/7 : …`` is progress, an error is raised with the end of the
    output.
    """
    lines: list[str] = []
    for event in stream:
        track.cancel.check()
        if "error" in event:
            raise LabError(f"cannot build image {name}: {event['error']}", output="\n".join(lines))
        for line in str(event.get("stream") or "").splitlines():
            lines.append(line)
            stages.line(line)
            track.output(line)
            words = line.split(" ", 2)
            if words[0] == "Step" and len(words) == 3 and "/" in words[1]:
                done, total = words[1].split("/", 1)
                track.progress(int(done), int(total), "steps")


def _kind_held(thing: Mapping[str, Any], kind: str) -> str:
    """Return what an image or volume of hashlab is for; "" for one of another program."""
    labels = thing.get("Labels") or {}
    if any(label.startswith("hashlab.snapshot") for label in labels):
        return "snapshots"
    names = thing.get("RepoTags") or []
    ours = any(label.startswith("hashlab.") for label in labels)
    return kind if ours or any(name.startswith(f"{REPOSITORY}/") for name in names) else ""


def _image_names(image: Mapping[str, Any]) -> list[str]:
    names = [name for name in image.get("RepoTags") or [] if name != "<none>:<none>"]
    return names or [str(image["Id"])]


def with_tag(name: str) -> str:
    """Return the name of an image with its tag, as Docker completes it; an id as it is."""
    bare = "@" not in name and ":" not in name.rpartition("/")[2]
    return f"{name}:latest" if bare else name


def _label_list(labels: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" if value else key for key, value in labels.items()]


def _text(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")
