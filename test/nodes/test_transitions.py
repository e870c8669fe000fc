"""Other nodes are taken through their lifecycle even when a service's answer is lost or late."""
import threading

import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor

from siamese_emotion_ros.nodes.children import ChildError
from siamese_emotion_ros.nodes.transitions import take_through

#: Shorter than any answer here takes that is to be late.
PATIENCE = 0.3


class Complaining:
    """Stands in for a child process that lives, and has complained."""

    def check(self):
        pass

    def complaints(self, lines=12):
        return "[ERROR] [slow]: cannot configure: no camera"


@pytest.fixture
def slow(graph):
    """Makes a node named slow whose answers to change_state are late until `let_go` is set; it records what it did."""
    executor = MultiThreadedExecutor(4, context=graph.context)
    nodes = []

    class Slow:
        def __init__(self, answers):
            """answers: the state that each request leads to (the last one all further), is it late, is it success."""
            self.answers = list(answers)
            self.state = State.PRIMARY_STATE_UNCONFIGURED
            self.asked = 0
            self.let_go = threading.Event()

        def change(self, request, response):
            self.asked += 1
            self.state, late, response.success = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if late:
                self.let_go.wait(30.0)
            return response

        def tell(self, request, response):
            response.current_state.id = self.state
            return response

    def make(*answers):
        import rclpy

        behaviour = Slow(answers)
        node = rclpy.create_node("slow", namespace=graph.namespace, context=graph.context)
        group = ReentrantCallbackGroup()
        node.create_service(ChangeState, "slow/change_state", behaviour.change, callback_group=group)
        node.create_service(GetState, "slow/get_state", behaviour.tell, callback_group=group)
        executor.add_node(node)
        nodes.append((node, behaviour))
        return behaviour

    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    yield make
    for _, behaviour in nodes:
        behaviour.let_go.set()
    executor.shutdown()
    spinning.join()
    for node, _ in nodes:
        node.destroy_node()


def take(graph):
    take_through(graph.node, "slow", Transition.TRANSITION_CONFIGURE, [Complaining()], PATIENCE)


def test_a_transition_that_is_answered_is_asked_for_once(graph, slow):
    node = slow((State.PRIMARY_STATE_INACTIVE, False, True))
    take(graph)
    assert node.asked == 1


def test_a_transition_whose_answer_is_lost_counts_as_made_by_the_state_of_the_node(graph, slow):
    node = slow((State.PRIMARY_STATE_INACTIVE, True, True))
    take(graph)
    assert node.asked == 1


def test_a_transition_under_way_is_waited_for(graph, slow):
    node = slow((State.TRANSITION_STATE_CONFIGURING, True, True))
    done = threading.Timer(4 * PATIENCE, lambda: setattr(node, "state", State.PRIMARY_STATE_INACTIVE))
    done.start()
    take(graph)
    assert node.asked == 1 and node.state == State.PRIMARY_STATE_INACTIVE
    done.join()


def test_a_transition_that_left_no_trace_is_asked_for_again(graph, slow):
    node = slow((State.PRIMARY_STATE_UNCONFIGURED, True, True), (State.PRIMARY_STATE_INACTIVE, False, True))
    take(graph)
    assert node.asked == 2 and node.state == State.PRIMARY_STATE_INACTIVE


def test_a_refusal_is_told_with_the_complaint_of_the_node(graph, slow):
    slow((State.PRIMARY_STATE_UNCONFIGURED, False, False))
    with pytest.raises(ChildError, match="no camera"):
        take(graph)
