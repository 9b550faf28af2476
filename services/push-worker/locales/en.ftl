# What a phone shows. Both catalogues have the same keys; `text` tests that.

paid = Payment received
paid-text = { $order } · { $amount }
failed = Payment not completed
failed-text = { $order } · { $reason }
failed-for-no-reason = Please try another way to pay.
refunded = Payment refunded
refunded-text = { $order } · { $amount }
