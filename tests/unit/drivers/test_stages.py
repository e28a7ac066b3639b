"""The images that a build leaves behind, read from the output of the classic builder."""

from __future__ import annotations

from hashlab.drivers.stages import Stages

SAID = """\
Step 1/7 : ARG BASE
Step 2/7 : FROM ${BASE} AS packages
 ---> aaaaaaaaaaaa
Step 3/7 : RUN apt-get update
 ---> Running in 123412341234
Step 9/9 : FROM is what a command printed
 ---> bbbbbbbbbbbb
Step 4/7 : FROM scratch
 --->\x20
Step 5/7 : COPY --from=packages /a /
 ---> Using cache
 ---> cccccccccccc
Step 6/7 : FROM packages
 ---> bbbbbbbbbbbb
Step 7/7 : LABEL a=b
 ---> Running in 567856785678
Removing intermediate container 567856785678
 ---> dddddddddddd
Successfully built dddddddddddd
"""


def stages_of(text: str) -> list[str]:
    stages = Stages()
    for line in text.splitlines():
        stages.line(line)
    return stages.ids


def test_the_last_image_of_each_stage_is_known() -> None:
    without = SAID.replace("Step 9/9 : FROM is what a command printed\n", "")
    assert stages_of(without) == ["bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd"]


def test_a_commands_output_may_add_an_image_but_loses_none() -> None:
    assert {"bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd"} <= set(stages_of(SAID))


def test_a_build_that_printed_nothing_left_nothing() -> None:
    assert stages_of("") == []
    assert stages_of("Step 1/2 : FROM scratch\n ---> \n") == []
