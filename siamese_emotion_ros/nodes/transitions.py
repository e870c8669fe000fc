"""Takes other nodes through their lifecycle, whatever becomes of a service's answer."""
from __future__ import annotations

import time
from typing import Any, Sequence

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client
from rclpy.node import Node

from siamese_emotion_ros.nodes.children import STARTUP_LIMIT, Child, ChildError, check_all

#: A transition that is not answered within this is looked after: it takes long, or its answer was lost [s].
ANSWER_PATIENCE = 5.0

#: The state that a transition leads to.
GOALS = {
    Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
}

#: The states in which no transition is under way.
RESTING = (State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE)


def take_through(
    node: Node, name: str, transition: int, children: Sequence[Child], patience: float = ANSWER_PATIENCE
) -> None:
    """Have the node `name`, one of `children`, make a transition; `node` asks, and is spun elsewhere.

    A service that has not yet discovered its client sends the answer to nobody. Where none comes within `patience`
    seconds, the node's state says whether the transition is under way, was made, or has to be asked for again.
    ChildError with the reason when the node refuses, dies or does not answer.
    """
    deadline = time.monotonic() + STARTUP_LIMIT
    change = node.create_client(ChangeState, f"{name}/change_state")
    look = node.create_client(GetState, f"{name}/get_state")

    def ask(client: Client, request: Any) -> Any:
        while not client.wait_for_service(timeout_sec=0.2):
            check_all(children, deadline, f"{name} does not appear after {STARTUP_LIMIT:.0f} s")
        future = client.call_async(request)
        end = time.monotonic() + patience
        while not future.done() and time.monotonic() < end:
            check_all(children, deadline, f"{name} does not answer after {STARTUP_LIMIT:.0f} s")
            time.sleep(0.02)
        return future.result() if future.done() else None

    try:
        request = ChangeState.Request(transition=Transition(id=transition))
        answer = ask(change, request)
        while answer is None:
            told = ask(look, GetState.Request())
            if told is None or told.current_state.id not in RESTING:
                continue
            if told.current_state.id == GOALS[transition]:
                return
            answer = ask(change, request)
    finally:
        node.destroy_client(change)
        node.destroy_client(look)
    if not answer.success:
        time.sleep(0.2)  # its log line may be a moment later than its answer
        complaints = [child.complaints() for child in children]
        raise ChildError("\n".join([text for text in complaints if f"[{name}]" in text] or complaints))
