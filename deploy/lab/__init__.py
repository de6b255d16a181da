"""A lab: a small cloud of real parts on one machine, inside network namespaces.

The controller (Postgres, Redis, API, scheduler) lives in the namespace ``<lab>-ctl``, every compute
host in namespaces of its own, the outside world in ``<lab>-out``; ``<lab>-fab`` holds the switches
between them. Everything derives from the lab's name (:mod:`deploy.lab.names`), so that several labs
run side by side. ``python -m deploy.lab --help`` lists what can be done with one.

Every function that makes something looks first and makes only what is missing: ``up`` may be run
again at any time, also after it was stopped half way or the machine was restarted.
"""
