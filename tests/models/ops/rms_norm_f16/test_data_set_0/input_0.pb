
BxJÇYäX\¾VXP¬QUNV{ZáV9SÚY