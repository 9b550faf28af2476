# What a phone shows. Both catalogues have the same keys; `text` tests that.

paid = 결제가 완료되었습니다
paid-text = { $order } · { $amount }
failed = 결제가 완료되지 않았습니다
failed-text = { $order } · { $reason }
failed-for-no-reason = 다른 방법으로 다시 시도해 주세요.
refunded = 환불이 완료되었습니다
refunded-text = { $order } · { $amount }
