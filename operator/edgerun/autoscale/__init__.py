"""How many pods a revision should have. Everything here is pure: time is an argument, and nothing waits.

knobs    what can be set: defaults, limits     windows  the load's averages over a stable and a panic window
target   what one pod should carry             decide   the decision of one tick: Knative's, number for number
bounds   least and most pods                   delay    the window that holds back a smaller number
zero     when the last pod may go              floats   arithmetic as Knative's language does it
autoscaler  one origin's, from second to second
replay   a recorded trace, decided again       traces   how such traces are written
"""
