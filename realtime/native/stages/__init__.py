"""The stages that come with the host, one module each: a record, and a function of type :data:`..stage.STEP`."""
