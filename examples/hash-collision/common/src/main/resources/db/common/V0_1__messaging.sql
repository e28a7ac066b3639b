-- Events wait here, written in the transaction that caused them, until the broker has confirmed them.
CREATE TABLE outbox (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id  uuid NOT NULL,
    type      text NOT NULL,
    data      text NOT NULL,
    created   timestamptz NOT NULL DEFAULT now()
);

-- Events that were handled: the broker may deliver one twice, but it counts once.
CREATE TABLE handled_event (
    event_id  uuid PRIMARY KEY,
    handled   timestamptz NOT NULL DEFAULT now()
);
