"""Activities, meetings and tasks, which the view `crm.timeline` joins."""
