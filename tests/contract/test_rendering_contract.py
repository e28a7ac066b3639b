"""Ruby's reading of the rendered Vagrantfile: it is valid Ruby, and every value stays a plain
value.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from fakes import Behaviour, FakeEngine, Outside, small_lab

from hashlab.config.model import Lab
from hashlab.drivers.rendering import render_vagrantfile, ruby
from hashlab.phases.addresses import plan_machines
from hashlab.phases.boxes.registry import recipe_manifest
from hashlab.providers.docker import DockerProvider
from hashlab.providers.vagrant import LabVagrant

HOSTILE = [
    'say "hi"',
    "it's",
    "#{`touch HACKED`}",
    "#$0 #@x #{1+1}",
    "back\\slash \\#{x} \\u0041",
    "line\nend\ttab\r",
    "nul\0del\x7f",
    "ünïcode ☃ 𝄞 😀",
    "\u2028\u2029",
    "end\n__END__\nx",
    "=begin",
    "%x(touch HACKED)",
    "",
]


def run_ruby(script: str, folder: Path) -> str:
    """Return Ruby's output for a script in a file. Skips the test without Ruby."""
    program = shutil.which("ruby") or "/opt/vagrant/embedded/bin/ruby"
    if not Path(program).exists():
        pytest.skip("no ruby on this laptop; it comes with Debian's vagrant")
    (folder / "script.rb").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [program, "-Ku", "script.rb"],
        cwd=folder,
        capture_output=True,
        check=False,
        env={"LANG": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_ruby_reads_a_quoted_value_as_exactly_that_value(tmp_path: Path) -> None:
    values = [*HOSTILE, HOSTILE, 7, 1.5, None, True]
    lines = "\n".join(f"puts JSON.generate([{ruby(value)}])" for value in values)
    printed = run_ruby(f'require "json"\n{lines}\n', tmp_path).split("\n")
    assert [json.loads(line)[0] for line in printed if line] == values
    assert not (tmp_path / "HACKED").exists()


# A stand-in for Vagrant that runs a Vagrantfile and prints every setting.
RECORDER = """
require "json"
class Told
  def self.said; @said ||= []; end
  def method_missing(name, *args, &block)
    plain = args.map { |a| a.is_a?(Symbol) ? a.to_s : a }
    Told.said << [name.to_s, plain] unless args.empty?
    block.call(self) if block
    return @create_args ||= [] if name == :create_args
    @create_args = args[0] if name == :create_args=
    self
  end
  def respond_to_missing?(*) true end
end
module Vagrant
  def self.configure(version) yield Told.new; end
  def self.plugin(version) PLUGINS; end
  class Communicator
    attr_accessor :connection, :failing
    def connect(**options) @failing ? raise(IOError, "reset") : yield(options[:retries]); end
  end
  PLUGINS = Struct.new(:manager).new(Struct.new(:communicators).new({ ssh: Communicator }))
end
load ARGV[0] || "Vagrantfile"
puts JSON.generate(Told.said)
"""


def rendered(lab: Lab, tmp_path: Path) -> str:
    """Return the Vagrantfile of a lab, by the real provider and template."""
    outside = Outside(lab, tmp_path / "laptop")
    engine = FakeEngine()
    world = outside.world()
    provider = DockerProvider(
        vagrant=LabVagrant(outside.vagrant, world.state, render_vagrantfile),
        engine=lambda: engine,
        cache=tmp_path / "engine.json",
    )
    box = recipe_manifest(world)
    engine.images[f"hashlab-box:{box.recipe}"] = {}
    # The probe for privileged containers.
    engine.behave(("/bin/true",), Behaviour(exits=0))
    world = replace(world, provider=provider, interfaces=list, routes=list)
    planned = plan_machines(world, {})
    provider.machines.write_plan(lab, planned, box, "ssh-ed25519 AAAA hashlab")
    return world.state.vagrantfile.read_text()


def test_the_vagrantfile_is_ruby_and_configures_every_machine(tmp_path: Path) -> None:
    lab = small_lab(tmp_path / "lab")
    assert lab.subnet == IPv4Network("192.168.60.0/24")
    (tmp_path / "Vagrantfile").write_text(rendered(lab, tmp_path))
    output = json.loads(run_ruby(RECORDER, tmp_path))
    settings = [(name, *args) for name, args in output]
    defined = [args[0] for name, args in output if name == "define"]
    assert defined == ["broker", "web", "spare"]
    networks = [args for name, args in output if name == "network"]
    for name, address in zip(
        defined, ("192.168.60.5", "192.168.60.6", "192.168.60.7"), strict=True
    ):
        on_network = ["--network", lab.id, "--network-alias", name, "--ip", address]
        assert json.dumps(on_network)[1:-1] in json.dumps(output)
    names = [args[0] for name, args in output if name == "name="]
    assert names == [f"{lab.id}-{machine}" for machine in defined]
    assert ("private_key_path=", str(lab.state_folder / "docker/ssh/id_ed25519")) in settings
    assert '"127.0.0.1:8080:80"' in json.dumps(output)
    forwarded = [values for kind, values in networks if kind == "forwarded_port"]
    assert len(forwarded) == 3
    for port in forwarded:
        assert (port["id"], port["guest"], port["disabled"]) == ("ssh", 22, True)
        assert f'"127.0.0.1:{port["host"]}:22"' in json.dumps(output)
    assert f"hashlab.lab={lab.id}" in json.dumps(output)


# Prints Vagrant's connections, and whether it paused, after the Vagrantfile was read twice.
PAUSES = """
load "Vagrantfile"
class Vagrant::Communicator
  def sleep(seconds) puts "paused"; end
end
one = Vagrant::Communicator.new
one.connect(retries: 1) { |retries| puts retries }
one.failing = true
2.times do
  begin
    one.connect(retries: 1)
  rescue IOError => error
    puts error.message
  end
  one.connection = 1
end
"""


def test_vagrant_pauses_when_no_sshd_answers_yet(tmp_path: Path) -> None:
    (tmp_path / "Vagrantfile").write_text(rendered(small_lab(tmp_path / "lab"), tmp_path))
    printed = run_ruby(RECORDER.replace("puts JSON", "JSON") + PAUSES, tmp_path)
    assert printed.split() == ["1", "paused", "reset", "reset"]


def test_a_lab_in_a_folder_with_a_hostile_name_is_still_only_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "😀 #{`touch HACKED`} \"x\" 'y' \\"
    lab = small_lab(folder)
    (tmp_path / "Vagrantfile").write_text(rendered(lab, tmp_path), encoding="utf-8")
    output = json.loads(run_ruby(RECORDER, tmp_path))
    [path] = [args[0] for name, args in output if name == "private_key_path="]
    assert path == str(folder / ".hashlab/docker/ssh/id_ed25519")
    assert not (tmp_path / "HACKED").exists()
