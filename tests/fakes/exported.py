"""A lab that uses most keys of Compose, for the tests of exports."""

from __future__ import annotations

from pathlib import Path

from hashlab.config.load import load_lab
from hashlab.config.model import Lab

COMPOSE = """\
services:
  web:
    build: {context: ., args: {KIND: full}}
    command: ["serve", "--price", "5$$"]
    environment: {GREETING: "hello $NAME", EMPTY: ""}
    ports: ["127.0.0.1:8080:80", "53/udp"]
    volumes:
      - ./site:/site:ro
      - data:/data
      - /cache
      - /etc/localtime:/etc/localtime:ro
      - ./key:/etc/key
      - {type: volume, source: data, target: /part, volume: {subpath: a, nocopy: true}}
    tmpfs: ["/run:size=64k,mode=1770", "/tmp:size=1m,mode=1777"]
    secrets: [{source: key, target: /run/key, mode: 0400, uid: "7"}]
    configs: [{source: settings, target: /etc/settings}, said]
    healthcheck: {test: "true", interval: 90s, timeout: 500ms, start_interval: 1s, retries: 3}
    depends_on: {db: {condition: service_started}}
    networks: {front: {aliases: [www], priority: 5}}
    deploy: {resources: {limits: {cpus: 0.5, memory: 64m, pids: 9}}}
    develop: {watch: [{path: ./code, action: sync, target: /code}]}
    ulimits: {nproc: 9, nofile: {soft: 1024, hard: 2048}}
    extra_hosts: ["router:10.0.0.1"]
    labels: [a=b]
    sysctls: {net.core.somaxconn: 9}
    stop_grace_period: 1m30s
    mem_reservation: 32m
    init: true
    restart: on-failure:3
    security_opt: ["no-new-privileges:true"]
    user: "7:7"
  db:
    image: postgres:16
    deploy: {replicas: 2}
    healthcheck: {disable: true}
    networks: {front: , back: }
    security_opt: ["no-new-privileges:true"]
    restart: always
  agent:
    image: agent:1
    deploy: {mode: global}
volumes: {data: }
networks:
  front: {ipam: {config: [{subnet: 10.7.0.0/24}]}}
  back: {internal: true}
secrets: {key: {file: ./key}}
configs: {settings: {file: ./settings}, said: {content: "said $$x"}}
"""
TOML = """\
[lab]
name = "shop"
subnet = "192.168.60.0/24"
[machines.one]
address = "192.168.60.5"
[machines.two]
address = "192.168.60.6"
"""
SECRET = "correct horse battery staple"
IMAGES = {
    name: f"registry.test/shop/{name}@sha256:{number:064x}"
    for number, name in enumerate(("web", "db", "agent"))
}


def exported_lab(folder: Path) -> Lab:
    """Write and read the lab."""
    for name in ("site", "code"):
        (folder / name).mkdir(parents=True)
    texts = {"compose.yaml": COMPOSE, "hashlab.toml": TOML, "Dockerfile": "FROM scratch\n"}
    texts |= {"key": SECRET, "settings": "a=b\n", "site/index.html": "hi", "code/a.py": "1"}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return load_lab(folder, environ={"NAME": "me"})
