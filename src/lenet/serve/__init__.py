"""The HTTP service: trained networks answered over the Open Inference Protocol.

Kept here: the application (`application`), what it asks networks (`inference`, `pictures`), the
networks in service (`models`), limits, metrics, and the server around it (`server`).  It may know
everything below but trainings: a service never trains.  The HTTP libraries come with the extra
`serve`, are imported here alone, and no earlier than a service starts.
"""
